use std::fmt;

use manifest_core::{ReleaseVersion, Sha256Digest};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::Status;

/// The release that a worker runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Installed {
    /// Its version.
    pub version: ReleaseVersion,
    /// The hash of its manifest.
    pub manifest_hash: Sha256Digest,
}

/// The release that HQ wants workers to run.
///
/// Both are compared. A manifest's hash covers its version, so who has the hash only compares that with the hash of the
/// manifest that is installed; the version tells a worker that is behind from one whose release was changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Required {
    /// Its version.
    pub version: ReleaseVersion,
    /// The hash of its manifest.
    pub manifest_hash: Sha256Digest,
}

/// Compares what is installed, if anything is, with what is required.
///
/// Versions are equal as [`ReleaseVersion`]s are: `v2.4.1` is `2.4.1`, but `2.4` is not `2.4.0`.
///
/// ```
/// use eligibility::{Installed, Reason, Required, assess};
/// use manifest_core::Sha256Digest;
///
/// let required = Required { version: "2.4.1".parse()?, manifest_hash: Sha256Digest::of(b"new") };
/// let installed = Installed { version: "2.4.1".parse()?, manifest_hash: Sha256Digest::of(b"old") };
/// let answer = assess(Some(&installed), &required); // the same version with other content
/// assert!(matches!(answer.reasons(), [Reason::ManifestHashDiffers { .. }]));
/// # Ok::<(), manifest_core::Error>(())
/// ```
#[must_use]
pub fn assess(installed: Option<&Installed>, required: &Required) -> Eligibility {
    let Some(installed) = installed else {
        return Eligibility::NoInstallation {
            reasons: Vec::new(),
        };
    };
    let mut reasons = Vec::new();
    if installed.version != required.version {
        reasons.push(Reason::VersionDiffers {
            installed: installed.version.clone(),
            required: required.version.clone(),
        });
    }
    if installed.manifest_hash != required.manifest_hash {
        reasons.push(Reason::ManifestHashDiffers {
            installed: installed.manifest_hash,
            required: required.manifest_hash,
        });
    }
    if reasons.is_empty() {
        Eligibility::Eligible
    } else {
        Eligibility::Outdated { reasons }
    }
}

/// What a worker may do now, and why.
///
/// Serialises as `{"status": "OUTDATED", "reasons": ["version 2.4.0 is installed, …"]}`; the
/// reasons are for people, programs read [`Status`].
///
/// ```
/// use eligibility::{Required, assess};
/// use manifest_core::Sha256Digest;
///
/// let manifest_hash = Sha256Digest::of(b"the manifest");
/// let required = Required { version: "2.4.1".parse()?, manifest_hash };
/// let answer = assess(None, &required);
/// assert_eq!(answer.as_str(), "NO_INSTALLATION"); // on the wire
/// assert!(!answer.may_take_network_jobs() && !answer.may_run_local_jobs());
/// # Ok::<(), manifest_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Eligibility {
    /// Exactly the required release is installed.
    Eligible,
    /// Another release is installed.
    Outdated {
        /// How it differs; never empty.
        reasons: Vec<Reason>,
    },
    /// Nothing is installed, or nothing that can be used.
    NoInstallation {
        /// Why what is there does not count; empty if nothing is there.
        reasons: Vec<Reason>,
    },
}

impl Eligibility {
    /// The answer of a worker on which something is installed that cannot be used, with the reason in words.
    #[must_use]
    pub fn unusable(why: impl Into<String>) -> Self {
        Self::NoInstallation {
            reasons: vec![Reason::Unusable(why.into())],
        }
    }

    /// The word for the wire, without reasons.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Eligible => Status::Eligible,
            Self::Outdated { .. } => Status::Outdated,
            Self::NoInstallation { .. } => Status::NoInstallation,
        }
    }

    /// `ELIGIBLE`, `OUTDATED` or `NO_INSTALLATION`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.status().as_str()
    }

    /// How the installed release differs from the required one, or why what is installed cannot be used; empty
    /// if it is eligible or if nothing is there.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Outdated { reasons } | Self::NoInstallation { reasons } => reasons,
            Self::Eligible => &[],
        }
    }

    /// Whether exactly the required release is installed.
    #[must_use]
    pub fn is_eligible(&self) -> bool {
        matches!(self, Self::Eligible)
    }

    /// Whether HQ may assign jobs: only to an eligible worker.
    #[must_use]
    pub fn may_take_network_jobs(&self) -> bool {
        self.status().may_take_network_jobs()
    }

    /// Whether the worker may run jobs of its own: with any installation.
    #[must_use]
    pub fn may_run_local_jobs(&self) -> bool {
        self.status().may_run_local_jobs()
    }
}

impl fmt::Display for Eligibility {
    /// The word, and the reasons after a colon.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())?;
        for (index, reason) in self.reasons().iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            write!(formatter, "{separator}{reason}")?;
        }
        Ok(())
    }
}

impl Serialize for Eligibility {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reasons: Vec<String> = self.reasons().iter().map(Reason::to_string).collect();
        let mut object = serializer.serialize_struct("Eligibility", 2)?;
        object.serialize_field("status", &self.status())?;
        object.serialize_field("reasons", &reasons)?;
        object.end()
    }
}

/// One way in which what is installed is not the required release.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is another version.
    VersionDiffers {
        /// The version that is there.
        installed: ReleaseVersion,
        /// The version that should be.
        required: ReleaseVersion,
    },
    /// Its manifest is another one: other files, or another description of them.
    ManifestHashDiffers {
        /// The hash that is there.
        installed: Sha256Digest,
        /// The hash that should be.
        required: Sha256Digest,
    },
    /// It cannot be used; in words.
    Unusable(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VersionDiffers {
                installed,
                required,
            } => write!(
                formatter,
                "version {installed} is installed, {required} is required"
            ),
            Self::ManifestHashDiffers {
                installed,
                required,
            } => write!(
                formatter,
                "the installed manifest has the hash {installed}, {required} is required"
            ),
            Self::Unusable(why) => formatter.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(version: &str, manifest: &str) -> Installed {
        Installed {
            version: version.parse().unwrap(),
            manifest_hash: Sha256Digest::of(manifest.as_bytes()),
        }
    }

    fn required(version: &str, manifest: &str) -> Required {
        let Installed {
            version,
            manifest_hash,
        } = installed(version, manifest);
        Required {
            version,
            manifest_hash,
        }
    }

    fn answer(version: &str, manifest: &str) -> Eligibility {
        assess(Some(&installed(version, manifest)), &required("2.4.1", "m"))
    }

    #[test]
    fn equal_version_and_hash_are_eligible() {
        let answer = answer("2.4.1", "m");
        assert!(answer.is_eligible());
        assert!(answer.may_take_network_jobs() && answer.may_run_local_jobs());
        assert!(answer.reasons().is_empty());
    }

    #[test]
    fn a_leading_v_makes_no_difference() {
        assert!(answer("v2.4.1", "m").is_eligible());
        let with_v = required("v2.4.1", "m");
        assert!(assess(Some(&installed("2.4.1", "m")), &with_v).is_eligible());
    }

    #[test]
    fn versions_of_equal_precedence_are_still_different() {
        for version in ["2.4", "2.4.1.0", "2.4.1+cu121", "2.4.1-rc.1"] {
            assert!(!answer(version, "m").is_eligible(), "{version}");
        }
    }

    #[test]
    fn each_difference_is_a_reason() {
        let kinds = |answer: &Eligibility| {
            let is_version = |reason: &Reason| matches!(reason, Reason::VersionDiffers { .. });
            answer.reasons().iter().map(is_version).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&answer("2.4.0", "m")), [true]);
        assert_eq!(kinds(&answer("2.5.0", "m")), [true], "newer is not better");
        assert_eq!(kinds(&answer("2.4.1", "other")), [false]);
        assert_eq!(kinds(&answer("2.4.0", "other")), [true, false]);
    }

    #[test]
    fn an_outdated_worker_still_runs_local_jobs() {
        let answer = answer("2.4.1", "edited");
        assert_eq!(answer.status(), Status::Outdated);
        assert!(!answer.is_eligible());
        assert!(!answer.may_take_network_jobs());
        assert!(answer.may_run_local_jobs());
    }

    #[test]
    fn without_an_installation_nothing_runs() {
        let answer = assess(None, &required("2.4.1", "m"));
        assert_eq!(answer.status(), Status::NoInstallation);
        assert_eq!(answer.reasons(), []);
        assert!(!answer.may_take_network_jobs() && !answer.may_run_local_jobs());
        assert_eq!(answer.to_string(), "NO_INSTALLATION");
    }

    #[test]
    fn what_cannot_be_used_counts_as_nothing_and_says_why() {
        let answer = Eligibility::unusable("current.txt is empty");
        assert_eq!(answer.status(), Status::NoInstallation);
        assert_eq!(answer.as_str(), "NO_INSTALLATION");
        assert!(!answer.may_take_network_jobs() && !answer.may_run_local_jobs());
        assert_eq!(answer.to_string(), "NO_INSTALLATION: current.txt is empty");
        let json =
            serde_json::json!({"status": "NO_INSTALLATION", "reasons": ["current.txt is empty"]});
        assert_eq!(serde_json::to_value(&answer).unwrap(), json);
    }

    #[test]
    fn reasons_say_both_sides() {
        let answer = answer("v2.4.0", "other");
        let (there, wanted) = (Sha256Digest::of(b"other"), Sha256Digest::of(b"m"));
        assert_eq!(
            answer.to_string(),
            format!(
                "OUTDATED: version 2.4.0 is installed, 2.4.1 is required; \
                 the installed manifest has the hash {there}, {wanted} is required"
            )
        );
    }

    #[test]
    fn it_serialises_as_status_and_reasons() {
        let json = |answer: &Eligibility| serde_json::to_value(answer).unwrap();
        assert_eq!(
            json(&answer("2.4.1", "m")),
            serde_json::json!({"status": "ELIGIBLE", "reasons": []})
        );
        assert_eq!(
            json(&answer("2.4.0", "m")),
            serde_json::json!({
                "status": "OUTDATED",
                "reasons": ["version 2.4.0 is installed, 2.4.1 is required"],
            })
        );
        assert_eq!(
            json(&assess(None, &required("2.4.1", "m"))),
            serde_json::json!({"status": "NO_INSTALLATION", "reasons": []})
        );
    }

    #[test]
    fn what_is_required_comes_from_json() {
        let hash = Sha256Digest::of(b"m");
        let text = format!(r#"{{"version": "v2.4.1", "manifest_hash": "{hash}"}}"#);
        let parsed: Required = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed, required("2.4.1", "m"));
        let unsafe_name = text.replace("v2.4.1", "../x");
        assert!(serde_json::from_str::<Required>(&unsafe_name).is_err());
    }
}
