use manifest_core::{Manifest, Sha256Digest};
use url::Url;

use crate::{Error, ErrorKind};

/// Which manifests may be installed.
///
/// ```
/// use manifest_core::{ManifestBuilder, Sha256Digest};
/// use updater::{ErrorKind, TrustPolicy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manifest = ManifestBuilder::new("sketcher".parse()?, "1.2.0".parse()?).build()?;
/// let right = TrustPolicy::Pinned(manifest.manifest_hash());
/// assert!(right.trust(manifest.clone()).is_ok());
///
/// let wrong = TrustPolicy::Pinned(Sha256Digest::of(b"another one"));
/// assert_eq!(wrong.trust(manifest).unwrap_err().kind(), ErrorKind::Trust);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustPolicy {
    /// Any valid one: for whoever fetches manifests over a channel that is trusted.
    Unsigned,
    /// The one with this hash, which came by another way.
    Pinned(Sha256Digest),
}

impl TrustPolicy {
    /// Makes a manifest trusted, if the policy does.
    ///
    /// # Errors
    /// [`ErrorKind::Trust`] with both hashes if another one is pinned.
    pub fn trust(&self, manifest: Manifest) -> Result<TrustedManifest, Error> {
        let required = match self {
            Self::Unsigned => manifest.manifest_hash(),
            Self::Pinned(hash) => *hash,
        };
        if manifest.manifest_hash() != required {
            let text = format!(
                "release {} of {} has the manifest hash {}, but {required} is required",
                manifest.tool_version(),
                manifest.tool_id(),
                manifest.manifest_hash()
            );
            return Err(Error::new(ErrorKind::Trust, text));
        }
        Ok(TrustedManifest {
            manifest,
            mirror: None,
        })
    }
}

/// A manifest that a [`TrustPolicy`] lets in. There is no other way to make one.
#[derive(Clone, Debug)]
pub struct TrustedManifest {
    manifest: Manifest,
    mirror: Option<Url>,
}

impl TrustedManifest {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the manifest came from, and its files can be had.
    pub(crate) fn mirror(&self) -> Option<&Url> {
        self.mirror.as_ref()
    }

    pub(crate) fn with_mirror(self, mirror: Option<Url>) -> Self {
        Self { mirror, ..self }
    }
}
