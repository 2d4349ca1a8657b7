//! What uv means by what it says.

use super::{PythonRequest, conflict};
use crate::text::without_secrets;
use crate::{Error, ErrorKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    NoSpace,
    Hash,
    Offline,
    NoPython,
    Auth,
    Conflict,
    Requirement,
    Network,
    Build,
    Denied,
    Other,
}

/// The first text that is found decides, so what is certain stands before what is vague.
const SIGNS: &[(&str, Cause)] = &[
    ("no space left on device", Cause::NoSpace),
    ("disk quota exceeded", Cause::NoSpace),
    ("hash mismatch", Cause::Hash),
    ("network was disabled", Cause::Offline),
    ("network connectivity is disabled", Cause::Offline),
    ("because the network is disabled", Cause::Offline),
    ("offline mode", Cause::Offline),
    ("no interpreter found", Cause::NoPython),
    ("no python interpreter", Cause::NoPython),
    ("python interpreter at", Cause::NoPython),
    ("failed to inspect python", Cause::NoPython),
    ("querying python at", Cause::NoPython),
    ("401 unauthorized", Cause::Auth),
    ("403 forbidden", Cause::Auth),
    ("authentication failed", Cause::Auth),
    ("no solution found", Cause::Conflict),
    ("requirements are unsatisfiable", Cause::Conflict),
    ("conflicting urls", Cause::Conflict),
    ("couldn't parse requirement", Cause::Requirement),
    ("error sending request", Cause::Network),
    ("tcp connect error", Cause::Network),
    ("dns error", Cause::Network),
    ("request failed after", Cause::Network),
    ("connection reset", Cause::Network),
    ("could not resolve host", Cause::Network),
    ("operation timed out", Cause::Network),
    ("failed to build", Cause::Build),
    ("build backend returned an error", Cause::Build),
    ("permission denied", Cause::Denied),
    ("read-only file system", Cause::Denied),
];

fn cause_of(said: &str) -> Cause {
    let text = said.to_ascii_lowercase();
    let found = SIGNS.iter().find(|(sign, _)| text.contains(sign));
    found.map_or(Cause::Other, |(_, cause)| *cause)
}

/// What uv says about it, on one line, without what it says about its progress and without secrets.
pub(super) fn essence(stderr: &str) -> String {
    const LONGEST: usize = 1200;
    const PROGRESS: &[&str] = &[
        "Using ",
        "Resolved ",
        "Creating ",
        "Activate ",
        "warning: ",
        "Downloading ",
        "Building ",
    ];
    let lines = stderr.lines().map(|line| {
        let line = line.trim();
        let line =
            line.trim_start_matches(|letter: char| "×╰├─▶│╭┬·".contains(letter) || letter == ' ');
        let signs = ["error: ", "cause: ", "Caused by: "];
        signs
            .iter()
            .find_map(|sign| line.strip_prefix(sign))
            .unwrap_or(line)
    });
    let lines: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !PROGRESS.iter().any(|sign| line.starts_with(sign)))
        .collect();
    let text = lines.join("; ").replace(":; ", ": ");
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    let text = without_secrets(&text).into_owned();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The error for what uv complained about while it did something (`doing`: "resolved").
pub(super) fn error_of(request: &PythonRequest, doing: &str, stderr: &str) -> Error {
    let said = essence(stderr);
    let kind_and_text = |kind, what: &str, hint: &str| {
        // What is asked for is known without uv; which package fails is known to uv alone.
        let askers = conflict::askers_in(&said, request).filter(|_| kind == ErrorKind::Python);
        let askers = askers.map_or_else(String::new, |askers| format!(" ({askers})"));
        let message = format!("the Python packages cannot be {doing}: {what}{askers}");
        let error = Error::new(kind, message);
        if hint.is_empty() {
            error
        } else {
            error.with_hint(hint)
        }
    };
    let error = match cause_of(stderr) {
        Cause::NoSpace => kind_and_text(
            ErrorKind::NoSpace,
            "the disk is full",
            "make room, and run it again",
        ),
        Cause::Hash => kind_and_text(
            ErrorKind::Integrity,
            "a package is not the one that was locked",
            "if it was replaced on purpose, resolve the version again",
        ),
        Cause::Offline => kind_and_text(
            ErrorKind::Offline,
            "a package is not here, and the network is not to be used",
            "run it once with the network, or give a folder of wheels",
        ),
        Cause::NoPython => {
            let python = request.python.as_deref().unwrap_or("any version");
            Error::new(
                ErrorKind::Program,
                format!("no Python is here that can be used ({python})"),
            )
            .with_hint("install it, or name another one as COMFY_PYTHON in the spec's `env`")
        }
        Cause::Auth => kind_and_text(
            ErrorKind::Auth,
            "the index wants (other) credentials",
            "put them into the .netrc file, or set UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD",
        ),
        Cause::Conflict => {
            let error = conflict::error(request, &said);
            return if request.wheels_dir.is_some() {
                error.with_hint("see whether the folder of wheels has all that is needed for this platform and Python")
            } else {
                error.with_hint("pin what they have in common in `python_packages`, or take other versions of the nodes")
            };
        }
        Cause::Requirement => kind_and_text(
            ErrorKind::Python,
            "a requirement cannot be understood",
            "write \"install_requirements\": false for that node, and what it needs into `python_packages`",
        ),
        Cause::Network => kind_and_text(
            ErrorKind::Network,
            "the server cannot be reached, or broke off",
            "see whether the network is there, and run it again",
        ),
        Cause::Build => kind_and_text(
            ErrorKind::Python,
            "a package has to be built, and that fails",
            "take a version of it that has a wheel, or install what building it needs",
        ),
        Cause::Denied => kind_and_text(
            ErrorKind::PermissionDenied,
            "the operating system refused access",
            "see who owns the folder, and whether it can be written to",
        ),
        Cause::Other => kind_and_text(ErrorKind::Python, "uv refused", ""),
    };
    error.with_source(format!("uv said: {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AskerRole, Requirements};

    #[test]
    fn what_uv_says_is_understood() {
        let request = PythonRequest::new("cache")
            .with_requirements(Requirements::new("KJNodes", AskerRole::Node, ["numpy<2"]))
            .with_requirements(Requirements::new("rgthree", AskerRole::Node, ["numpy>=2"]));
        for (said, kind, part) in [
            (
                "error: No solution found when resolving dependencies\n  cause: Because you require numpy<2 and numpy>=2, we can \
                 conclude that your requirements are unsatisfiable.",
                ErrorKind::Python,
                r#"KJNodes asks for "numpy<2", rgthree asks for "numpy>=2""#,
            ),
            (
                "  × No solution found when resolving dependencies:\n  ╰─▶ Because numpy was not found in the cache and you require \
                 numpy, …\n\n      hint: Packages were unavailable because the network was disabled.",
                ErrorKind::Offline,
                "not here",
            ),
            (
                "error: Failed to download `numpy==2.1`\n  cause: Hash mismatch for `numpy==2.1`",
                ErrorKind::Integrity,
                "not the one that was locked",
            ),
            (
                "error: No interpreter found for Python 3.99 in managed installations",
                ErrorKind::Program,
                "no Python",
            ),
            (
                "error: Request failed after 3 retries\n  cause: tcp connect error",
                ErrorKind::Network,
                "cannot be reached",
            ),
            (
                "error: 403 Forbidden for url (https://user:hunter2@h/simple)",
                ErrorKind::Auth,
                "credentials",
            ),
            (
                "error: Failed to build `numpy==1.0`",
                ErrorKind::Python,
                "KJNodes asks",
            ),
            (
                "error: failed to write: No space left on device (os error 28)",
                ErrorKind::NoSpace,
                "full",
            ),
            ("error: the moon", ErrorKind::Python, "uv refused"),
        ] {
            let error = error_of(&request, "resolved", said);
            assert_eq!(error.kind(), kind, "{said}");
            assert!(error.to_string().contains(part), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn the_essence_is_short() {
        let said = "Using Python 3.11\n  × No solution found when resolving dependencies:\n  ╰─▶ Because a\n      b\n";
        assert_eq!(
            essence(said),
            "No solution found when resolving dependencies: Because a; b"
        );
        assert!(essence(&"x".repeat(9000)).chars().count() <= 1201);
    }
}
