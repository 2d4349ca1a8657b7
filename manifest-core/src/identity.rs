use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use semver::Prerelease;
use serde::{Deserialize, Serialize};

use crate::error::quote;
use crate::path::check_folder_name;
use crate::{Error, ErrorKind};

const MAX_LENGTH: usize = 128;

/// The id of a tool, e.g. `z-image-turbo`: at least two characters, safe as a folder name and
/// in a URL on every platform.
///
/// ```
/// use manifest_core::ToolId;
///
/// let id: ToolId = "z-image-turbo".parse()?;
/// assert_eq!(id.as_str(), "z-image-turbo");
/// assert!("../other".parse::<ToolId>().is_err());
/// # Ok::<(), manifest_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ToolId(Box<str>);

impl ToolId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ToolId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let checked = match text.len() {
            0 | 1 => Err("it has fewer than two characters".to_owned()),
            length if length > MAX_LENGTH => {
                Err(format!("it is longer than {MAX_LENGTH} characters"))
            }
            _ => check_folder_name(&text),
        };
        match checked {
            Ok(()) => Ok(Self(text.into())),
            Err(reason) => Err(refused("tool_id", &text, &reason)),
        }
    }
}

impl FromStr for ToolId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::try_from(text.to_owned())
    }
}

impl From<ToolId> for String {
    fn from(id: ToolId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for ToolId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// The version of a release, e.g. `2.4.1`.
///
/// A leading `v` before a digit is not part of the version: `v2.4.1` and `2.4.1` are equal. The
/// folder of a release is always [written with it](Self::folder_name). Any name that is safe as a
/// folder is a version; [`precedence`](Self::precedence) orders those that are numbers.
///
/// ```
/// use manifest_core::ReleaseVersion;
///
/// let version: ReleaseVersion = "v2.4.1".parse()?;
/// assert_eq!(version.as_str(), "2.4.1");
/// assert_eq!(version.folder_name(), "v2.4.1");
/// # Ok::<(), manifest_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseVersion(Box<str>);

impl ReleaseVersion {
    /// The version without a leading `v`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the release's folder, and the content of `current.txt`: `v2.4.1`.
    #[must_use]
    pub fn folder_name(&self) -> String {
        format!("v{}", self.0)
    }

    /// The version whose [`folder_name`](Self::folder_name) this is, if it is one.
    #[must_use]
    pub fn from_folder_name(name: &str) -> Option<Self> {
        let version: Self = name.strip_prefix('v')?.parse().ok()?;
        (version.folder_name() == name).then_some(version)
    }

    /// Which of two versions is newer, by the rules of [Semantic Versioning 2.0.0, section 11]
    /// applied to any number of numeric parts (`1.2` equals `1.2.0`); build metadata does not
    /// count. `None` if either is no such number, e.g. `nightly`.
    ///
    /// [Semantic Versioning 2.0.0, section 11]: https://semver.org/#spec-item-11
    #[must_use]
    pub fn precedence(&self, other: &Self) -> Option<Ordering> {
        let (mut numbers, prerelease) = self.parts()?;
        let (mut other_numbers, other_prerelease) = other.parts()?;
        let length = numbers.len().max(other_numbers.len());
        numbers.resize(length, 0);
        other_numbers.resize(length, 0);
        Some(
            numbers
                .cmp(&other_numbers)
                .then_with(|| prerelease.cmp(&other_prerelease)),
        )
    }

    fn parts(&self) -> Option<(Vec<u64>, Prerelease)> {
        let version = self
            .0
            .split_once('+')
            .map_or(&*self.0, |(version, _)| version);
        let (numbers, prerelease) = version.split_once('-').unwrap_or((version, ""));
        let numbers = numbers
            .split('.')
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        Some((numbers, Prerelease::new(prerelease).ok()?))
    }
}

impl TryFrom<String> for ReleaseVersion {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let version = match text.strip_prefix('v') {
            Some(rest) if rest.starts_with(|first: char| first.is_ascii_digit()) => rest,
            _ => &text,
        };
        let checked = match version.len() {
            0 => Err("it is empty".to_owned()),
            length if length > MAX_LENGTH => {
                Err(format!("it is longer than {MAX_LENGTH} characters"))
            }
            _ => check_folder_name(version),
        };
        match checked {
            Ok(()) => Ok(Self(version.into())),
            Err(reason) => Err(refused("tool_version", &text, &reason)),
        }
    }
}

impl FromStr for ReleaseVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::try_from(text.to_owned())
    }
}

impl From<ReleaseVersion> for String {
    fn from(version: ReleaseVersion) -> Self {
        version.0.into()
    }
}

impl fmt::Display for ReleaseVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

fn refused(field: &str, text: &str, reason: &str) -> Error {
    Error::new(
        ErrorKind::Path,
        format!("{field} {} is refused: {reason}", quote(text)),
    )
}

/// The pattern says what a regular expression can; device names, for one, it cannot.
#[cfg(feature = "schema")]
const NAME_PATTERN: &str = "^[A-Za-z0-9]([A-Za-z0-9._+-]*[A-Za-z0-9_+-])?$";

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ToolId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ToolId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": MAX_LENGTH,
            "pattern": NAME_PATTERN,
        })
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ReleaseVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ReleaseVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_LENGTH + 1, // with a leading `v`
            "pattern": NAME_PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a17_names_that_are_no_safe_folder_are_refused() {
        for text in [
            "",
            "..",
            ".",
            "a/b",
            r"a\b",
            "a b",
            "CON",
            "nul",
            "1.0.",
            "-x",
            ".hidden",
            "a\0",
            "1.0/../..",
            "\u{202E}x",
            "%2e%2e",
        ] {
            assert_eq!(
                text.parse::<ReleaseVersion>().unwrap_err().kind(),
                ErrorKind::Path,
                "{text:?}"
            );
            assert_eq!(
                text.parse::<ToolId>().unwrap_err().kind(),
                ErrorKind::Path,
                "{text:?}"
            );
        }
        assert!("x".parse::<ToolId>().is_err(), "two characters at least");
        assert!("x".repeat(129).parse::<ToolId>().is_err());
    }

    #[test]
    fn folder_names_round_trip() {
        for text in [
            "2.4.1",
            "v2.4.1",
            "0.9.1",
            "nightly",
            "vnext",
            "v",
            "2.0-rc.1+cu121",
        ] {
            let version: ReleaseVersion = text.parse().unwrap();
            assert_eq!(
                ReleaseVersion::from_folder_name(&version.folder_name()),
                Some(version),
                "{text}"
            );
        }
        for foreign in ["2.4.1", ".staging", "vv1", "v..", "v"] {
            assert_eq!(ReleaseVersion::from_folder_name(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn precedence_is_numeric_and_knows_prereleases() {
        let order = |one: &str, other: &str| {
            one.parse::<ReleaseVersion>()
                .unwrap()
                .precedence(&other.parse().unwrap())
        };
        assert_eq!(order("0.9.1", "0.10.0"), Some(Ordering::Less));
        assert_eq!(order("v2.0", "2.0.0"), Some(Ordering::Equal));
        assert_eq!(order("2.0.0-rc.2", "2.0.0-rc.10"), Some(Ordering::Less));
        assert_eq!(order("2.0.0-rc.1", "2.0.0"), Some(Ordering::Less));
        assert_eq!(order("2.0.0+a", "2.0.0+b"), Some(Ordering::Equal));
        assert_eq!(order("2026.02.20.1", "2026.02.20"), Some(Ordering::Greater));
        assert_eq!(order("nightly", "1.0.0"), None);
    }
}
