//! One error for all steps that failed.

use std::fmt::Write as _;

use crate::{Error, ErrorKind, SpecProblem};

/// The first failure, which names all others. Steps that were only stopped are no failures of their own.
pub(super) fn all_of(mut failures: Vec<Error>) -> Option<Error> {
    if failures
        .iter()
        .any(|error| error.kind() != ErrorKind::Cancelled)
    {
        failures.retain(|error| error.kind() != ErrorKind::Cancelled);
    }
    if failures.len() < 2 {
        return failures.pop();
    }
    let problem = |error: &Error| {
        let (pointer, hint) = (
            error.pointer().unwrap_or_default(),
            error.hint().unwrap_or_default(),
        );
        SpecProblem::new(error.kind(), pointer, error.message(), hint)
    };
    let problems: Vec<SpecProblem> = failures.iter().map(problem).collect();
    let mut text = format!(
        "{} entries of the spec could not be realized:",
        failures.len()
    );
    for error in &failures {
        let _ = write!(text, "\n  {error:#}"); // to a text it cannot fail
        if let Some(hint) = error.hint() {
            let _ = write!(text, "; {hint}");
        }
    }
    Some(Error::new(problems[0].kind, text).with_problems(problems))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_only_stopped_is_no_failure() {
        let failed = |at: &str| {
            Error::new(ErrorKind::Network, "the line is down")
                .at(at)
                .with_hint("mend it")
        };
        let one = all_of(vec![
            Error::cancelled(),
            failed("/comfy"),
            Error::cancelled(),
        ])
        .unwrap();
        assert_eq!(
            (one.kind(), one.pointer(), one.hint()),
            (ErrorKind::Network, Some("/comfy"), Some("mend it"))
        );
        let both = all_of(vec![
            failed("/comfy"),
            Error::cancelled(),
            failed("/models/1"),
        ])
        .unwrap();
        assert_eq!(
            (both.kind(), both.problems().len()),
            (ErrorKind::Network, 2)
        );
        assert!(
            both.to_string()
                .contains("\n  /models/1: the line is down; mend it"),
            "{both}"
        );
        assert_eq!(
            all_of(vec![Error::cancelled()]).unwrap().kind(),
            ErrorKind::Cancelled
        );
        assert!(all_of(Vec::new()).is_none());
    }
}
