//! The text of a hashed lock.

use crate::text::{quote, without_secrets};
use crate::{Error, ErrorKind};

/// One package of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    /// Normalised.
    pub(super) name: String,
    /// The line without hashes: `name==version` or `name @ address`.
    pub(super) requirement: String,
    /// As they are written, sorted.
    pub(super) hashes: Vec<String>,
}

impl Pin {
    /// What stands behind the name, for messages: a version or an address.
    pub(super) fn version(&self) -> &str {
        let end = self.requirement.find(|letter: char| !is_name(letter));
        let rest = &self.requirement[end.unwrap_or(self.requirement.len())..];
        rest.trim_start_matches(['=', '@', ' '])
    }

    /// Whether it is a commit of a repository, of which no hash can be had.
    pub(super) fn is_from_repository(&self) -> bool {
        self.requirement
            .split_once('@')
            .is_some_and(|(_, address)| address.trim_start().starts_with("git+"))
    }
}

/// The packages of a lock, in its order. Options and comments are no packages.
pub(super) fn pins(locked: &str) -> Vec<Pin> {
    let mut pins = Vec::new();
    for line in logical_lines(locked) {
        let mut parts = line.split(" --hash=").map(str::trim);
        let requirement = parts.next().unwrap_or_default();
        let Some(name) = name_of(requirement) else {
            continue;
        };
        let mut hashes: Vec<String> = parts.map(str::to_owned).collect();
        hashes.sort_unstable();
        pins.push(Pin {
            name,
            requirement: requirement.to_owned(),
            hashes,
        });
    }
    pins
}

/// Refuses a lock with packages that could be others tomorrow, or with a secret.
pub(super) fn must_be_pinned(locked: &str) -> Result<(), Error> {
    // An option, a path, or an address without a name: uv writes none, but a lock may have been tampered with.
    let lines = logical_lines(locked);
    if let Some(line) = lines.iter().find(|line| name_of(line).is_none()) {
        let message = format!("{} in the lock is no package", quote(line));
        return Err(Error::new(ErrorKind::Python, message).with_hint("resolve the version again"));
    }
    for pin in pins(locked) {
        if without_secrets(&pin.requirement) != pin.requirement {
            let message = format!("{} is at an address that holds a secret", pin.name);
            return Err(Error::new(ErrorKind::Python, message)
                .with_hint("put the secret into the .netrc file"));
        }
        if pin.hashes.is_empty() && !pin.is_from_repository() {
            let message = format!(
                "{} cannot be locked: it has no hash",
                quote(&pin.requirement)
            );
            return Err(Error::new(ErrorKind::Python, message)
                .with_hint("ask for a release, for the address of a wheel, or for a repository"));
        }
    }
    Ok(())
}

/// The packages that stay at their version but have other content now, which uv would not notice.
pub(super) fn with_other_hashes(before: &[Pin], after: &[Pin]) -> Vec<String> {
    let changed = after.iter().filter(|pin| {
        let same = before.iter().find(|old| old.requirement == pin.requirement);
        same.is_some_and(|old| old.hashes != pin.hashes)
    });
    changed.map(|pin| pin.name.clone()).collect()
}

/// Lines with those joined that a backslash continues, without empty ones and comments.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        open += line.trim_end_matches('\\').trim();
        if line.ends_with('\\') {
            open.push(' ');
            continue;
        }
        let line = std::mem::take(&mut open);
        if !line.is_empty() && !line.starts_with('#') {
            lines.push(line);
        }
    }
    if !open.trim().is_empty() {
        lines.push(open);
    }
    lines
}

/// The normalised name that a requirement starts with; `None` for options, paths and addresses without a name.
pub(super) fn name_of(requirement: &str) -> Option<String> {
    let requirement = requirement.trim_start();
    let end = requirement.find(|letter: char| !is_name(letter));
    let (name, rest) = requirement.split_at(end.unwrap_or(requirement.len()));
    let starts_well = name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    let ends_well = name.ends_with(|letter: char| letter.is_ascii_alphanumeric());
    let is_name = starts_well && ends_well && !rest.starts_with(['+', ':', '/', '\\']);
    is_name.then(|| normalised(name))
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "._-".contains(letter)
}

/// A name as PEP 503 normalises it.
pub(super) fn normalised(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            _ => normal.push(letter.to_ascii_lowercase()),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read() {
        let text = "# a comment\n--index-url https://h\nFoo.Bar==1.0 \\\n    --hash=sha256:b \\\n    --hash=sha256:a\n\
                    baz @ git+https://h/baz@0123\n";
        let pins = pins(text);
        assert_eq!(pins.len(), 2);
        assert_eq!((&*pins[0].name, pins[0].version()), ("foo-bar", "1.0"));
        assert_eq!(pins[0].hashes, ["sha256:a", "sha256:b"]);
        assert!(!pins[0].is_from_repository());
        assert_eq!(pins[1].version(), "git+https://h/baz@0123");
        assert!(pins[1].is_from_repository() && pins[1].hashes.is_empty());
    }

    #[test]
    fn names_are_found_and_normalised() {
        for (requirement, name) in [
            ("Foo_-.bar>=1", Some("foo-bar")),
            ("a[extra] ; python_version > '3'", Some("a")),
            ("a @ https://h/a.whl", Some("a")),
            ("-e .", None),
            ("./a", None),
            ("git+https://h/a", None),
            ("https://h/a.whl", None),
            ("C:\\a", None),
            ("dir/a", None),
            ("", None),
        ] {
            assert_eq!(name_of(requirement).as_deref(), name, "{requirement}");
        }
    }

    #[test]
    fn a_lock_must_be_exact_and_without_secrets() {
        must_be_pinned("# c\na==1 --hash=sha256:0\nb @ git+https://h/b@0123\n").unwrap();
        for text in [
            "a==1\n",
            "--index-url https://evil\na==1 --hash=sha256:0\n",
            "-e /evil\n",
            "git+https://evil/x\n",
            "./evil.whl\n",
        ] {
            let error = must_be_pinned(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Python, "{text}");
        }
        let error = must_be_pinned("a @ https://u:hunter2@h/a.whl --hash=sha256:0\n").unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn what_has_other_hashes_is_found() {
        let before = pins("a==1 --hash=x\nb==1 --hash=x\nc==1 --hash=x\n");
        let after = pins("a==1 --hash=x\nb==1 --hash=y\nc==2 --hash=z\nd==1 --hash=x\n");
        assert_eq!(with_other_hashes(&before, &after), ["b"]);
    }
}
