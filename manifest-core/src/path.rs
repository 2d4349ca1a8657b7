use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizer, DecomposingNormalizer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::quote;
use crate::{Error, ErrorKind};

/// Longest path, in bytes of UTF-8. It leaves room for the root in front of it on every platform.
const MAX_PATH_LENGTH: usize = 1024;
/// Longest component, in bytes of UTF-8: the limit of ext4, XFS and APFS.
const MAX_COMPONENT_LENGTH: usize = 255;

/// The name under which a release keeps its own manifest. It is never a release path.
pub const MANIFEST_FILE_NAME: &str = "manifest.json";

/// Components that start like this are Lockstep's own (locks, staging, temporary files).
const OWN_PREFIX: &str = ".lockstep";
const OWN_FOLDERS: [&str; 2] = [".staging", ".trash"];

/// A path inside a release that is safe on Linux, macOS and Windows alike.
///
/// It is relative, separated by `/`, has no empty, `.` or `..` component and no backslash; no
/// component is a Windows device name, ends in a dot or a space, holds a character that Windows
/// refuses, a control or a bidirectional formatting character, or is longer than 255 bytes; and
/// it names none of Lockstep's own files. Joining it to a folder therefore stays in that folder
/// (as long as the folder holds no links).
///
/// Paths order by their bytes.
///
/// ```
/// use manifest_core::ReleasePath;
///
/// let path: ReleasePath = "models/unet.safetensors".parse()?;
/// assert_eq!(path.parent(), Some("models"));
/// assert!("../outside".parse::<ReleasePath>().is_err());
/// assert!("docs/NUL.txt".parse::<ReleasePath>().is_err());
/// # Ok::<(), manifest_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleasePath(Box<str>);

impl ReleasePath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components, from the outermost folder to the file name.
    #[must_use]
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The folder that holds the file, or `None` at the root of the release.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The form under which a file system that ignores case and normalisation knows this path:
    /// NFD, full case folding, NFC. Two paths with equal keys are one file there.
    #[must_use]
    pub fn collision_key(&self) -> Cow<'_, str> {
        collision_key(&self.0)
    }

    /// The one entry that is no release path and yet stands in manifests of the old generator.
    pub(crate) fn own_manifest() -> Self {
        Self(MANIFEST_FILE_NAME.into())
    }

    fn check(text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Err("it is empty".into());
        }
        if text.len() > MAX_PATH_LENGTH {
            return Err(format!("it is longer than {MAX_PATH_LENGTH} bytes"));
        }
        if text.starts_with('/') {
            return Err("it is absolute; paths are relative to the release".into());
        }
        for (index, component) in text.split('/').enumerate() {
            check_component(component)?;
            let folded = collision_key(component);
            if folded.starts_with(OWN_PREFIX) || (index == 0 && OWN_FOLDERS.contains(&&*folded)) {
                return Err(format!(
                    "{component:?} is a name that Lockstep keeps for itself"
                ));
            }
            if index == 0 && folded == MANIFEST_FILE_NAME {
                return Err(format!(
                    "{component:?} is where a release keeps its own manifest"
                ));
            }
        }
        Ok(())
    }
}

/// See [`ReleasePath::collision_key`].
pub(crate) fn collision_key(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    let decomposed = DecomposingNormalizer::new_nfd().normalize(text);
    let folded = CaseMapper::new().fold_string(&decomposed);
    Cow::Owned(
        ComposingNormalizer::new_nfc()
            .normalize(&folded)
            .into_owned(),
    )
}

fn check_component(component: &str) -> Result<(), String> {
    match component {
        "" => return Err("it has an empty component".into()),
        "." | ".." => return Err(format!("it has the component {component:?}")),
        _ => {}
    }
    if component.len() > MAX_COMPONENT_LENGTH {
        return Err(format!(
            "it has a component longer than {MAX_COMPONENT_LENGTH} bytes"
        ));
    }
    if let Some(bad) = component.chars().find(|&character| is_forbidden(character)) {
        return Err(format!(
            "it has the character {bad:?}, which not every platform allows in a name"
        ));
    }
    if component.ends_with(['.', ' ']) {
        return Err(format!(
            "{component:?} ends in a dot or a space, which Windows drops"
        ));
    }
    if is_windows_device(component) {
        return Err(format!("{component:?} is a device name on Windows"));
    }
    Ok(())
}

fn is_forbidden(character: char) -> bool {
    matches!(
        character,
        '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*'
        // Bidirectional formatting, which makes a name read as another.
        | '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
        // Line and paragraph separators, and the byte order mark.
        | '\u{2028}' | '\u{2029}' | '\u{FEFF}'
    ) || character.is_control()
}

/// Windows ignores extensions and trailing spaces when it recognises a device:
/// <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>.
fn is_windows_device(component: &str) -> bool {
    let stem = component
        .split('.')
        .next()
        .unwrap_or(component)
        .trim_end_matches(' ');
    let stem = stem.to_ascii_uppercase();
    if matches!(
        &*stem,
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$"
    ) {
        return true;
    }
    let Some(number) = stem
        .strip_prefix("COM")
        .or_else(|| stem.strip_prefix("LPT"))
    else {
        return false;
    };
    let mut digits = number.chars();
    matches!(
        (digits.next(), digits.next()),
        (Some('0'..='9' | '\u{B9}' | '\u{B2}' | '\u{B3}'), None)
    )
}

/// Whether `name` may be a folder on every platform. Used for tool ids and versions.
pub(crate) fn check_folder_name(name: &str) -> Result<(), String> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "._+-".contains(character);
    if let Some(bad) = name.chars().find(|&character| !allowed(character)) {
        return Err(format!(
            "it has the character {bad:?}; letters, digits, `.`, `_`, `+` and `-` are allowed"
        ));
    }
    if !name.starts_with(|character: char| character.is_ascii_alphanumeric()) {
        return Err("it does not start with a letter or a digit".into());
    }
    check_component(name)
}

impl FromStr for ReleasePath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for ReleasePath {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        match Self::check(&text) {
            Ok(()) => Ok(Self(text.into())),
            Err(reason) => {
                let text = format!("path {} is refused: {reason}", quote(&text));
                Err(Error::new(ErrorKind::Path, text))
            }
        }
    }
}

impl AsRef<str> for ReleasePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<Path> for ReleasePath {
    fn as_ref(&self) -> &Path {
        Path::new(&*self.0)
    }
}

impl std::borrow::Borrow<str> for ReleasePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReleasePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for ReleasePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl Serialize for ReleasePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ReleasePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) {
        match text.parse::<ReleasePath>() {
            Ok(path) => panic!("{path:?} was accepted"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Path, "{text:?}"),
        }
    }

    #[test]
    fn a01_paths_that_leave_the_release_are_refused() {
        for text in [
            "..",
            "../x",
            "a/../../b",
            "a/..",
            "/etc/passwd",
            "/",
            "",
            ".",
            "./a",
            "a/.",
            "a//b",
            "a/",
            "//a",
        ] {
            refused(text);
        }
    }

    #[test]
    fn a02_windows_paths_are_refused_everywhere() {
        for text in [
            r"C:\x",
            "C:x",
            "c:/x",
            r"\\server\share",
            r"\\?\C:\x",
            r"a\b",
            r"\a",
            r"a\..\b",
        ] {
            refused(text);
        }
    }

    #[test]
    fn a03_device_names_are_refused_with_any_extension_and_case() {
        for text in [
            "CON",
            "con",
            "NUL.txt",
            "nul.tar.gz",
            "a/PRN/b",
            "AUX",
            "COM1",
            "com9.log",
            "COM0",
            "COM\u{B9}",
            "lpt\u{B2}.x",
            "LPT\u{B3}",
            "CONIN$",
            "conout$.txt",
            "NUL .txt",
        ] {
            refused(text);
        }
        for text in ["console", "COM10", "COM", "nullable.py", "auxiliary", "lpt"] {
            assert!(text.parse::<ReleasePath>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a04_names_that_windows_changes_are_refused() {
        for text in [
            "a.",
            "a ",
            "dir./x",
            "dir /x",
            "a:b",
            "file::$DATA",
            "a<b",
            "a>b",
            "a?b",
            "a*b",
            "a\"b",
            "a|b",
            "...",
        ] {
            refused(text);
        }
    }

    #[test]
    fn a05_control_and_bidi_characters_are_refused() {
        for text in [
            "a\0b",
            "a\nb",
            "a\u{1}b",
            "a\u{7f}b",
            "a\u{85}b",
            "a\u{202E}gpj.exe",
            "\u{200F}a",
            "a\u{2066}b",
            "a\u{2028}b",
        ] {
            refused(text);
        }
    }

    #[test]
    fn a10_long_names_are_refused() {
        refused(&"x".repeat(256));
        refused(&"é".repeat(128));
        refused(&"abcdefg/".repeat(129));
        assert!("x".repeat(255).parse::<ReleasePath>().is_ok());
    }

    #[test]
    fn a15_names_of_our_own_files_are_refused() {
        for text in [
            "manifest.json",
            "Manifest.JSON",
            "manifest.json/x",
            ".lockstep",
            ".LockStep/lock",
            "a/.lockstep-tmp",
            ".staging/x",
            ".trash/x",
        ] {
            refused(text);
        }
        for text in [
            "a/manifest.json",
            "manifest.json5",
            "a/.staging/x",
            ".gitignore",
        ] {
            assert!(text.parse::<ReleasePath>().is_ok(), "{text}");
        }
    }

    #[test]
    fn keys_of_case_and_normalisation_twins_are_equal() {
        for (one, other) in [
            ("A/b", "a/B"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{212A}", "k"),
            ("\u{1E9E}", "ss"),
        ] {
            assert_eq!(collision_key(one), collision_key(other));
        }
        assert_ne!(collision_key("a"), collision_key("b"));
    }

    proptest! {
        #[test]
        fn an_accepted_path_stays_below_its_folder(text in "\\PC{0,40}|[a-c./\\\\: ]{0,12}") {
            if let Ok(path) = text.parse::<ReleasePath>() {
                let joined = Path::new("/root").join(&path);
                prop_assert!(joined.starts_with("/root") && joined.components().count() == path.components().count() + 2);
                prop_assert!(joined.components().all(|part| !matches!(part, std::path::Component::ParentDir | std::path::Component::CurDir)));
                prop_assert_eq!(path.as_str(), text);
            }
        }
    }
}
