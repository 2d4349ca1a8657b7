//! What a checkout asks for.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use durable_fs::{Dir, Disk};
use serde::Deserialize;
use url::Url;

use super::locked::name_of;
use super::{AskerRole, Requirements, lines};
use crate::text::{is_token_field, quote};
use crate::{Error, ErrorKind};

const FILE: &str = "requirements.txt";
const PROJECT: &str = "pyproject.toml";
/// Far more than anybody writes by hand; a bound for memory.
const LONGEST_FILE: u64 = 1 << 20;
const DEEPEST: usize = 8;

/// What a checkout asks for: its `requirements.txt`, else the `[project] dependencies` of its `pyproject.toml`; `None` if it has
/// neither.
///
/// Files that it includes by `-r` are read if they are in the checkout. An index that it names is added to the others (a node cannot
/// replace the index of all); other options, `-e`, and paths are left out, and so are hashes, since a lock has all of them. [`Requirements::warnings`] says so.
///
/// # Errors
/// `Python` if the file cannot be understood, asks for variables or holds a secret; `Io`, `PermissionDenied`.
pub fn requirements_of(
    checkout: &Path,
    asker: &str,
    role: AskerRole,
) -> Result<Option<Requirements>, Error> {
    let mut reader = Reader {
        asker,
        requirements: Requirements::new(asker, role, [""; 0]),
        seen: BTreeSet::new(),
    };
    let unreadable = |error| Error::disk(format!("the checkout of {asker} cannot be read"), error);
    let dir = Disk::real().open_dir(checkout).map_err(unreadable)?;
    if let Some(bytes) = reader.read(&dir, Path::new(FILE))? {
        reader.file(&dir, Path::new(FILE), &bytes, 0)?;
    } else if let Some(bytes) = reader.read(&dir, Path::new(PROJECT))? {
        reader.project(&bytes)?;
    } else {
        return Ok(None);
    }
    Ok(Some(reader.requirements))
}

struct Reader<'a> {
    asker: &'a str,
    requirements: Requirements,
    seen: BTreeSet<PathBuf>,
}

#[derive(Deserialize)]
struct Document {
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Project {
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Reader<'_> {
    /// A file's bytes; `None` if it is not there.
    fn read(&self, dir: &Dir, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        match dir.read(path, LONGEST_FILE) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => {
                let what = format!("{} of {} cannot be read", path.display(), self.asker);
                Err(match error.kind() {
                    durable_fs::ErrorKind::NotRegular | durable_fs::ErrorKind::TooLarge => {
                        Error::new(ErrorKind::Python, what).with_source(error)
                    }
                    _ => Error::disk(what, error),
                })
            }
        }
    }

    fn project(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let text = lines::decoded(bytes);
        let document: Document = toml::from_str(&text).map_err(|error| {
            let message = format!("{PROJECT} of {} is not valid", self.asker);
            let error =
                Error::new(ErrorKind::Python, message).with_source(error.message().to_owned());
            error.with_hint(self.way_out())
        })?;
        let dependencies = document.project.map(|project| project.dependencies);
        for dependency in dependencies.unwrap_or_default() {
            for line in lines::logical(&dependency) {
                self.requirement(&line, PROJECT)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, dir: &Dir, path: &Path, bytes: &[u8], depth: usize) -> Result<(), Error> {
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        let shown = path.display().to_string();
        for line in lines::logical(&lines::decoded(bytes)) {
            match lines::option(&line) {
                None => self.requirement(&line, &shown)?,
                Some(("-r" | "--requirement", other)) => {
                    self.included(dir, path, other, depth + 1)?;
                }
                Some((name, value)) => self.option(&line, name, value, &shown)?,
            }
        }
        Ok(())
    }

    fn included(&mut self, dir: &Dir, from: &Path, other: &str, depth: usize) -> Result<(), Error> {
        let refuse = |reason: &str| {
            let message = format!(
                "{} of {} includes {}, {reason}",
                from.display(),
                self.asker,
                quote(other)
            );
            Err(Error::new(ErrorKind::Python, message).with_hint(self.way_out()))
        };
        let Some(path) = joined(from, other) else {
            return refuse("which is not in the checkout");
        };
        if depth > DEEPEST {
            return refuse("which is too deep");
        }
        match self.read(dir, &path)? {
            Some(bytes) => self.file(dir, &path, &bytes, depth),
            None => refuse("which does not exist"),
        }
    }

    fn option(&mut self, line: &str, name: &str, value: &str, file: &str) -> Result<(), Error> {
        let shown = quote(line);
        match name {
            "-i" | "--index-url" | "--extra-index-url" if is_web(value) => {
                self.check(line, file)?;
                self.address(value, line, file)?;
                self.requirements
                    .lines
                    .push(format!("--extra-index-url {value}"));
                self.warn(&format!("{shown} in {file} adds an index for all packages"));
            }
            "-f" | "--find-links" if is_web(value) => {
                self.check(line, file)?;
                self.address(value, line, file)?;
                self.requirements
                    .lines
                    .push(format!("--find-links {value}"));
                self.warn(&format!("{shown} in {file} adds a source for all packages"));
            }
            "-e" | "--editable" if is_address(value) => self.requirement(value, file)?,
            "-e" | "--editable" => self.warn(&format!(
                "{shown} in {file} is left out: a node is loaded from its folder, not installed"
            )),
            _ => self.warn(&format!(
                "{shown} in {file} is left out: it would change how all packages are chosen"
            )),
        }
        Ok(())
    }

    fn requirement(&mut self, line: &str, file: &str) -> Result<(), Error> {
        self.check(line, file)?;
        // Options of one requirement are about how pip builds it.
        let (requirement, options) = match line.find(" --") {
            Some(at) => (line[..at].trim_end(), &line[at + 1..]),
            None => (line, ""),
        };
        if !options.is_empty()
            && !options
                .split_whitespace()
                .all(|option| option.starts_with("--hash"))
        {
            self.warn(&format!("{} in {file} is left out", quote(options)));
        }
        if let Some(address) = address_of(requirement) {
            self.address(address, line, file)?;
        } else if name_of(requirement).is_none() || has_path(requirement) {
            self.warn(&format!(
                "{} in {file} is left out: a path means nothing on another machine",
                quote(line)
            ));
            return Ok(());
        }
        self.requirements.lines.push(requirement.to_owned());
        Ok(())
    }

    /// Refuses what nobody can mean, and what would read the machine's environment.
    fn check(&self, line: &str, file: &str) -> Result<(), Error> {
        let reason = if line.contains("${") {
            "it asks for a variable of the machine"
        } else if line.contains(char::REPLACEMENT_CHARACTER)
            || line
                .chars()
                .any(|letter| letter.is_control() && letter != '\t')
        {
            "it has letters that belong to no encoding"
        } else {
            return Ok(());
        };
        Err(self.refused(line, file, reason))
    }

    fn address(&self, address: &str, line: &str, file: &str) -> Result<(), Error> {
        let plain = ["git+", "hg+", "svn+", "bzr+"]
            .iter()
            .find_map(|vcs| address.strip_prefix(vcs));
        let Ok(url) = Url::parse(plain.unwrap_or(address)) else {
            return Err(self.refused(line, file, "the address is no URL"));
        };
        let user_is_a_name = url.scheme() == "ssh";
        let has_user = url.password().is_some() || !(url.username().is_empty() || user_is_a_name);
        if has_user || url.query_pairs().any(|(key, _)| is_token_field(&key)) {
            return Err(self.refused(line, file, "the address holds a secret"));
        }
        Ok(())
    }

    fn refused(&self, line: &str, file: &str, reason: &str) -> Error {
        let message = format!(
            "{} asks for {} in {file}: {reason}",
            self.asker,
            quote(line)
        );
        Error::new(ErrorKind::Python, message).with_hint(self.way_out())
    }

    fn way_out(&self) -> String {
        format!(
            "write \"install_requirements\": false for {}, and what it needs into `python_packages`",
            self.asker
        )
    }

    fn warn(&mut self, what: &str) {
        self.requirements.warnings.push(what.to_owned());
    }
}

/// A path in the checkout, as seen from a file in it; `None` if it leads out.
fn joined(from: &Path, other: &str) -> Option<PathBuf> {
    let other = other.replace('\\', "/");
    let mut path: PathBuf = from.parent().unwrap_or(Path::new("")).to_owned();
    for component in Path::new(&other).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => path.push(name),
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    (!path.as_os_str().is_empty()).then_some(path)
}

fn is_web(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// Whether it starts as a URL does that is on another machine.
fn is_address(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        let known = |letter: char| letter.is_ascii_alphanumeric() || "+.-".contains(letter);
        scheme.chars().all(known) && !scheme.ends_with("file")
    })
}

/// The address in `name @ address` or `address`, if it is on another machine.
fn address_of(requirement: &str) -> Option<&str> {
    let address = match requirement.split_once('@') {
        Some((name, address)) if !name.contains("://") => address.trim(),
        _ => requirement,
    };
    let address = address.split_whitespace().next()?;
    is_address(address).then_some(address)
}

/// Whether it is a path, or a name at one.
fn has_path(requirement: &str) -> bool {
    let plain = requirement.split(';').next().unwrap_or_default().trim_end();
    let plain = plain.to_ascii_lowercase();
    let archives = [".whl", ".tar.gz", ".zip"];
    plain.contains(['/', '\\', '@']) || archives.iter().any(|end| plain.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Option<Requirements>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let dir = Disk::real().open_dir(folder.path()).unwrap();
        for (name, text) in files {
            if let Some((parent, _)) = name.rsplit_once('/') {
                dir.create_dir_all(parent).unwrap();
            }
            dir.replace_file(name, text.as_bytes()).unwrap();
        }
        requirements_of(folder.path(), "Node", AskerRole::Node)
    }

    #[test]
    fn a_file_wins_over_the_project_and_nothing_is_nothing() {
        let project =
            "[project]\nname = \"n\"\ndependencies = [\"b>=1\", 'c; python_version<\"4\"']\n";
        let both = read(&[("requirements.txt", "a\n"), ("pyproject.toml", project)])
            .unwrap()
            .unwrap();
        assert_eq!(both.lines, ["a"]);
        let project = read(&[("pyproject.toml", project)]).unwrap().unwrap();
        assert_eq!(project.lines, ["b>=1", "c; python_version<\"4\""]);
        let other = read(&[("pyproject.toml", "[tool.ruff]\nx = 1\n")])
            .unwrap()
            .unwrap();
        assert!(other.lines.is_empty());
        assert_eq!(read(&[("readme", "")]).unwrap(), None);
        let error = read(&[("pyproject.toml", "[project\n")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Python);
        assert!(
            error.to_string().contains("pyproject.toml of Node"),
            "{error}"
        );
    }

    #[test]
    fn files_include_files_of_the_checkout() {
        let files = [
            ("requirements.txt", "a\n-r more/one.txt\nb\n"),
            ("more/one.txt", "c\n--requirement=../two.txt\n"),
            ("two.txt", "d\n-r requirements.txt\n"),
        ];
        assert_eq!(read(&files).unwrap().unwrap().lines, ["a", "c", "d", "b"]);
        for other in [
            "../../etc/passwd",
            "/etc/passwd",
            "gone.txt",
            "https://h/r.txt",
            "..",
            "more",
        ] {
            let text = format!("-r {other}\n");
            let error = read(&[("requirements.txt", &text), ("more/x", "")]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Python, "{other}");
            assert!(error.to_string().contains("Node"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_does_not_lead_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        let checkout = folder.path().join("checkout");
        std::fs::create_dir(&checkout).unwrap();
        std::os::unix::fs::symlink("../secret", checkout.join("requirements.txt")).unwrap();
        let error = requirements_of(&checkout, "Node", AskerRole::Node).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Python);
    }

    #[test]
    fn options_are_passed_on_or_left_out_with_a_warning() {
        let text = "--extra-index-url https://h/simple\n-i https://i/simple\n--find-links https://j/w\n-f ./wheels\n--pre\n-e .\n\
                    -e git+https://h/x#egg=x\n./a.whl\na.whl\nx @ ./y\nz @ file:///z\n-c limits.txt\n\
                    d==1 --hash=sha256:0 --global-option=x\ne @ https://h/e.whl\ngit+https://h/f@main\n";
        let read = read(&[("requirements.txt", text)]).unwrap().unwrap();
        assert_eq!(
            read.lines,
            [
                "--extra-index-url https://h/simple",
                "--extra-index-url https://i/simple",
                "--find-links https://j/w",
                "git+https://h/x#egg=x",
                "d==1",
                "e @ https://h/e.whl",
                "git+https://h/f@main",
            ]
        );
        assert_eq!(read.warnings.len(), 12, "{:#?}", read.warnings);
    }

    #[test]
    fn secrets_and_variables_are_refused_and_not_shown() {
        for line in [
            "--extra-index-url https://user:hunter2@h/simple",
            "--extra-index-url https://h/simple?token=hunter2",
            "x @ https://hunter2@h/x.whl",
            "git+https://hunter2@h/x",
        ] {
            let error = read(&[("requirements.txt", line)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Python);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        let error = read(&[(
            "requirements.txt",
            "--extra-index-url https://h/${HF_TOKEN}",
        )])
        .unwrap_err();
        assert!(error.to_string().contains("variable"), "{error}");
        let ssh = read(&[("requirements.txt", "git+ssh://git@h/x")])
            .unwrap()
            .unwrap();
        assert_eq!(ssh.lines, ["git+ssh://git@h/x"]);
    }
}
