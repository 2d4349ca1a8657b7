//! Names that become files and folders.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use manifest_core::ReleasePath;
use serde::{Deserialize, Serialize};

use crate::text::quote;
use crate::{Error, ErrorKind};

/// Leaves room for what is put around it in file names (`comfy-<id>`, `<id>.lock.json`).
const LONGEST_ID: usize = 200;

/// What is wrong with an id that stands in file names and command lines.
fn fault_of_id(text: &str) -> Option<String> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._+-".contains(letter);
    if let Some(letter) = text.chars().find(|&letter| !allowed(letter)) {
        return Some(format!(
            "it has the character {letter:?}; letters, digits, `.`, `_`, `+` and `-` are allowed"
        ));
    }
    if text.starts_with(|letter: char| !letter.is_ascii_alphanumeric()) {
        return Some("it does not start with a letter or a digit".into());
    }
    if text.len() > LONGEST_ID {
        return Some(format!("it is longer than {LONGEST_ID} bytes"));
    }
    fault_of_component(text)
}

/// What is wrong with a folder below `custom_nodes/`.
fn fault_of_node(text: &str) -> Option<String> {
    if let Some(fault) = fault_of_component(text) {
        return Some(fault);
    }
    if text.starts_with('.') {
        // `custom_nodes/.git` would make git take the folder for a repository, with hooks of the node's choice.
        return Some("it starts with a dot".into());
    }
    let pythons_own = text.eq_ignore_ascii_case("__pycache__");
    pythons_own.then(|| "Python keeps its own files there".into())
}

/// What keeps a text from being one component of a path on every platform: separators, `..`, reserved names and characters.
pub(crate) fn fault_of_component(text: &str) -> Option<String> {
    if text.contains('/') {
        return Some("it has a slash".into());
    }
    fault_of_path(text)
}

/// What keeps a text from being a path that stays below its folder on every platform.
pub(crate) fn fault_of_path(text: &str) -> Option<String> {
    let error = text.parse::<ReleasePath>().err()?.to_string();
    let reason = error.split_once(" is refused: ").map(|(_, reason)| reason);
    Some(reason.unwrap_or(&error).to_owned())
}

macro_rules! name {
    ($(#[$docs:meta])* $name:ident, $what:literal, $fault:path) => {
        $(#[$docs])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The form under which a file system that ignores case and normalisation knows it.
            #[must_use]
            pub fn collision_key(&self) -> Cow<'_, str> {
                match self.0.parse::<ReleasePath>() {
                    Ok(path) => Cow::Owned(path.collision_key().into_owned()),
                    Err(_) => Cow::Borrowed(&self.0),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                match $fault(&text) {
                    None => Ok(Self(text.into())),
                    Some(fault) => {
                        let message = format!(concat!("{} is no ", $what, ": {}"), quote(&text), fault);
                        Err(Error::new(ErrorKind::Name, message))
                    }
                }
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, formatter)
            }
        }
    };
}

name! {
    /// The id of a version, e.g. `wan22-fast`: ASCII letters, digits, `.`, `_`, `+` and `-`, at most 200; safe as a file name on every
    /// platform and as an argument of a command.
    VersionId, "version id", fault_of_id
}

name! {
    /// The name of a custom node, which is its folder's name below `custom_nodes/`: one path component that is safe on every platform,
    /// with no leading dot.
    NodeName, "name of a custom node", fault_of_node
}

name! {
    /// What a spec calls a model: one path component that is safe on every platform. Where the file lies says the target.
    ModelName, "name of a model", fault_of_component
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAVERSALS: [&str; 18] = [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/a",
        "a\\b",
        "..\\x",
        "C:x",
        "NUL",
        "con.json",
        "a.",
        "a ",
        "a\0b",
        "a\nb",
        "a\u{202E}b",
        ".lockstep",
        "a?b",
    ];

    #[test]
    fn hostile_names_are_refused() {
        for text in TRAVERSALS {
            assert_eq!(
                text.parse::<VersionId>().unwrap_err().kind(),
                ErrorKind::Name,
                "{text:?}"
            );
            assert_eq!(
                text.parse::<NodeName>().unwrap_err().kind(),
                ErrorKind::Name,
                "{text:?}"
            );
            assert_eq!(
                text.parse::<ModelName>().unwrap_err().kind(),
                ErrorKind::Name,
                "{text:?}"
            );
        }
        for text in ["-rf", ".x", "a b", "é", "a;b", "$x", &"x".repeat(201)] {
            assert!(text.parse::<VersionId>().is_err(), "{text:?}");
        }
        for text in [".git", ".x", "__pycache__", "__PyCache__"] {
            assert!(text.parse::<NodeName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn ordinary_names_are_accepted() {
        for text in ["wan22-fast", "v1.0+a_b", "2", "cache", "logs", "manifest"] {
            assert_eq!(text.parse::<VersionId>().unwrap().as_str(), text);
        }
        for text in ["ComfyUI-KJNodes", "my node", "é", "cache", "logs", "-x"] {
            assert_eq!(text.parse::<NodeName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn messages_say_what_is_wrong_and_speak_of_no_release() {
        let error = "../x".parse::<NodeName>().unwrap_err().to_string();
        assert_eq!(
            error,
            "\"../x\" is no name of a custom node: it has a slash"
        );
    }

    #[test]
    fn names_that_differ_in_case_collide() {
        let key = |text: &str| {
            text.parse::<NodeName>()
                .unwrap()
                .collision_key()
                .into_owned()
        };
        assert_eq!(key("KJNodes"), key("kjnodes"));
        assert_eq!(key("caf\u{e9}"), key("CAFE\u{301}"));
        assert_ne!(key("a"), key("b"));
    }
}
