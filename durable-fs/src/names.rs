//! Relative paths, and names of our own.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use crate::{Error, ErrorKind, Operation, Result};

pub(crate) fn invalid(path: PathBuf) -> Error {
    let note = ": a relative path of plain components is needed";
    Error::refused(ErrorKind::InvalidPath, Operation::Read, path, note)
}

/// The components of a relative path; empty for an empty path.
pub(crate) fn components<'p>(base: &Path, relative: &'p Path) -> Result<Vec<&'p OsStr>> {
    let mut names = Vec::new();
    let mut length = 0;
    for component in relative.components() {
        match component {
            Component::Normal(name) => {
                length += name.len() + 1;
                names.push(name);
            }
            _ => return Err(invalid(base.join(relative))),
        }
    }
    // `Path::components` hides `a//b`, `a/.` and `a/`: then the parts are shorter than the whole.
    let text = relative.as_os_str().as_encoded_bytes();
    if length.saturating_sub(1) != text.len() || text.contains(&0) {
        return Err(invalid(base.join(relative)));
    }
    Ok(names)
}

/// A name that nothing in the folder has yet: unique in this process and between processes.
pub(crate) fn fresh_name(prefix: &str) -> OsString {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // A process may get the number of one that died and left a file.
    let moment = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    format!("{prefix}{}-{number}-{moment:x}", std::process::id()).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{components, fresh_name};

    #[test]
    fn components_are_the_names_between_slashes() {
        let split = |path: &'static str| components("base".as_ref(), path.as_ref());
        assert_eq!(split("").unwrap(), Vec::<&str>::new());
        assert_eq!(split("a").unwrap(), ["a"]);
        assert_eq!(split("a/ b/...").unwrap(), ["a", " b", "..."]);
        for bad in [
            "/", ".", "..", "a/", "/a", "a//b", "./a", "a/.", "a/..", "a/./b", "a\0",
        ] {
            assert!(split(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn fresh_names_are_plain_and_never_repeat() {
        let names: HashSet<_> = (0..1000).map(|_| fresh_name("p-")).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| {
            name.to_str()
                .is_some_and(|name| !name.contains('/') && name.len() < 100)
        }));
    }
}
