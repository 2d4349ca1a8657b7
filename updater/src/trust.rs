use manifest_core::{Manifest, Sha256Digest};

use crate::{Error, ErrorKind};

/// Which manifests may be installed.
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
        Ok(TrustedManifest { manifest })
    }
}

/// A manifest that a [`TrustPolicy`] lets in. There is no other way to make one.
#[derive(Clone, Debug)]
pub struct TrustedManifest {
    manifest: Manifest,
}

impl TrustedManifest {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}
