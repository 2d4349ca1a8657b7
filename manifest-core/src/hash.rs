use serde_json::{Map, Value};

use crate::parse::{self, Numbers};
use crate::{Error, ErrorKind, Limits, Sha256Digest, canonical_json};

/// Fields that the manifest hash does not cover.
pub(crate) const NOT_HASHED: [&str; 3] = ["manifest_hash", "created_at", "signature"];

/// What a document says that its hash is, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HashCheck {
    /// The text of `manifest_hash`, which need not be a digest; `None` if there is no such text.
    pub stated: Option<String>,
    /// The hash by the content.
    pub computed: Sha256Digest,
}

impl HashCheck {
    /// Whether the two are the same.
    #[must_use]
    pub fn is_right(&self) -> bool {
        let stated = self.stated.as_ref().and_then(|text| text.parse().ok());
        stated == Some(self.computed)
    }
}

/// Computes the hash that a manifest has by its content, and reads the one that it states.
///
/// For tools that look into a manifest that [`Manifest::parse`](crate::Manifest::parse) refuses: it need
/// only be a JSON object within the limits. To trust one, parse it.
///
/// # Errors
/// [`ErrorKind::Manifest`] for what is no JSON object or has a key twice; [`ErrorKind::Limit`] for a
/// document that is too big, and for numbers that not every reader keeps exactly: what others hash is not
/// known then.
pub fn check_hash(bytes: &[u8], limits: &Limits) -> Result<HashCheck, Error> {
    let Value::Object(document) = parse::value(bytes, limits, Numbers::Exact)? else {
        let text = "not a manifest: a JSON object is needed";
        return Err(Error::new(ErrorKind::Manifest, text));
    };
    let stated = document.get("manifest_hash").and_then(Value::as_str);
    Ok(HashCheck {
        stated: stated.map(str::to_owned),
        computed: hash_of(document)?,
    })
}

/// The manifest hash of a document, by its content.
pub(crate) fn hash_of(mut document: Map<String, Value>) -> Result<Sha256Digest, Error> {
    document.retain(|key, _| !NOT_HASHED.contains(&key.as_str()));
    Ok(Sha256Digest::of(&canonical_json(&Value::Object(document))?))
}
