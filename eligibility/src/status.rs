use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// The three words on the wire: an [`Eligibility`](crate::Eligibility) without its reasons.
///
/// ```
/// use eligibility::Status;
///
/// assert_eq!("NO_INSTALLATION".parse::<Status>()?, Status::NoInstallation);
/// assert!("eligible".parse::<Status>().is_err(), "the words are exact");
/// # Ok::<(), eligibility::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Status {
    /// The worker runs exactly the required release.
    Eligible,
    /// The worker runs another release.
    Outdated,
    /// The worker has no release.
    NoInstallation,
}

impl Status {
    const ALL: [Self; 3] = [Self::Eligible, Self::Outdated, Self::NoInstallation];

    /// The word: `ELIGIBLE`, `OUTDATED` or `NO_INSTALLATION`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eligible => "ELIGIBLE",
            Self::Outdated => "OUTDATED",
            Self::NoInstallation => "NO_INSTALLATION",
        }
    }

    /// Whether HQ may assign jobs: only to an eligible worker.
    #[must_use]
    pub fn may_take_network_jobs(self) -> bool {
        self == Self::Eligible
    }

    /// Whether the worker may run jobs of its own: with any installation.
    #[must_use]
    pub fn may_run_local_jobs(self) -> bool {
        self != Self::NoInstallation
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Status {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Error::new(
                ErrorKind::Status,
                format!("{shown:?} is no status; ELIGIBLE, OUTDATED and NO_INSTALLATION are"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_on_the_wire_are_fixed() {
        for (status, word) in [
            (Status::Eligible, "ELIGIBLE"),
            (Status::Outdated, "OUTDATED"),
            (Status::NoInstallation, "NO_INSTALLATION"),
        ] {
            assert_eq!(status.as_str(), word);
            assert_eq!(status.to_string(), word);
            assert_eq!(word.parse::<Status>().unwrap(), status);
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(json, format!("{word:?}"));
            assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
        }
    }

    #[test]
    fn other_words_are_refused() {
        for word in [
            "",
            "eligible",
            "Eligible",
            "ELIGIBLE ",
            "NOINSTALLATION",
            "UNKNOWN",
        ] {
            let error = word.parse::<Status>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Status);
            assert!(error.to_string().contains("NO_INSTALLATION"), "{error}");
            assert!(serde_json::from_str::<Status>(&format!("{word:?}")).is_err());
        }
        assert!(
            "x".repeat(10_000)
                .parse::<Status>()
                .unwrap_err()
                .to_string()
                .len()
                < 200
        );
    }

    #[test]
    fn only_an_eligible_worker_takes_network_jobs() {
        let rights = |status: Status| (status.may_take_network_jobs(), status.may_run_local_jobs());
        assert_eq!(rights(Status::Eligible), (true, true));
        assert_eq!(rights(Status::Outdated), (false, true));
        assert_eq!(rights(Status::NoInstallation), (false, false));
    }
}
