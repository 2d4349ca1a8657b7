//! Problems and warnings as they are found.

use std::cmp::Ordering;

use super::{InvalidSpec, Parsed, Spec, SpecProblem};
use crate::text::without_secrets;
use crate::{Error, ErrorKind};

/// So that a hostile document makes no endless report.
const KEPT: usize = 1000;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Notes {
    problems: Vec<SpecProblem>,
    warnings: Vec<SpecProblem>,
}

impl Notes {
    pub(super) fn problem(
        &mut self,
        kind: ErrorKind,
        pointer: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.problems.len() < KEPT {
            self.problems
                .push(SpecProblem::new(kind, pointer, message, hint));
        }
    }

    /// A refusal by one of the types of this crate. `otherwise` is the hint if it has none.
    pub(super) fn refused(&mut self, pointer: impl Into<String>, error: &Error, otherwise: &str) {
        let hint = error.hint().unwrap_or(otherwise).to_owned();
        self.problem(error.kind(), pointer, error.to_string(), hint);
    }

    pub(super) fn warn(
        &mut self,
        pointer: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.warnings.len() < KEPT {
            self.warnings
                .push(SpecProblem::new(ErrorKind::Spec, pointer, message, hint));
        }
    }

    /// Changes whatever was found, for documents that were made from others.
    pub(super) fn change(&mut self, change: impl FnMut(&mut SpecProblem)) {
        self.problems
            .iter_mut()
            .chain(&mut self.warnings)
            .for_each(change);
    }

    pub(super) fn append(&mut self, other: Self) {
        self.problems.extend(other.problems);
        self.warnings.extend(other.warnings);
    }

    /// The spec if nothing is wrong; both lists in the order of their places.
    pub(super) fn finish(mut self, spec: Option<Spec>) -> Result<Parsed, InvalidSpec> {
        let order = |one: &SpecProblem, other: &SpecProblem| compare(&one.pointer, &other.pointer);
        self.problems.sort_by(order);
        self.warnings.sort_by(order);
        match spec {
            Some(spec) if self.problems.is_empty() => Ok(Parsed {
                spec,
                warnings: self.warnings,
            }),
            _ => {
                if self.problems.is_empty() {
                    self.problem(ErrorKind::Spec, "", "the document is no spec", "");
                }
                Err(InvalidSpec {
                    problems: self.problems,
                    warnings: self.warnings,
                })
            }
        }
    }
}

/// Orders `/models/9` before `/models/10`.
fn compare(one: &str, other: &str) -> Ordering {
    let parts = |pointer: &str| -> Vec<(Option<u64>, String)> {
        let parts = pointer
            .split('/')
            .map(|part| (part.parse().ok(), part.to_owned()));
        parts.collect()
    };
    parts(one).cmp(&parts(other))
}

/// The pointer of a member (RFC 6901). A key that is an address or endless is shortened, so that no secret gets out by it.
pub(super) fn below(pointer: &str, key: &str) -> String {
    const LONGEST: usize = 200;
    let mut key = without_secrets(key);
    if key.len() > LONGEST {
        key = key
            .chars()
            .take(LONGEST)
            .chain(['…'])
            .collect::<String>()
            .into();
    }
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}
