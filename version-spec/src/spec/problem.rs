//! What is wrong with a document, all of it.

use std::fmt;
use std::path::Path;

use crate::{Error, ErrorKind};

/// One thing that is wrong with a document, or that may not be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecProblem {
    /// `Spec`, or `Name` if a name or target leads out of its folder or is there twice.
    pub kind: ErrorKind,
    /// Where, as a JSON pointer (RFC 6901); empty for the document as a whole.
    pub pointer: String,
    /// What, in one sentence.
    pub message: String,
    /// What to write instead, or what was understood.
    pub hint: String,
}

impl SpecProblem {
    pub(crate) fn new(
        kind: ErrorKind,
        pointer: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            pointer: pointer.into(),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// `<pointer>: <message>; <hint>`.
impl fmt::Display for SpecProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(formatter, "{}: ", self.pointer)?;
        }
        formatter.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(formatter, "; {}", self.hint)?;
        }
        Ok(())
    }
}

/// A document that is no valid spec, and everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidSpec {
    /// What is wrong, in the order of the document; never empty.
    pub problems: Vec<SpecProblem>,
    /// What was found beside that.
    pub warnings: Vec<SpecProblem>,
}

impl fmt::Display for InvalidSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.problems {
            [problem] => problem.fmt(formatter),
            problems => {
                write!(formatter, "the spec has {} problems:", problems.len())?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(formatter, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for InvalidSpec {}

impl InvalidSpec {
    /// The error, with the place of the document.
    pub(super) fn found_in(self, file: &Path) -> Error {
        self.into_error(&format!(", in {}", file.display()))
    }

    fn into_error(self, place: &str) -> Error {
        let Some(first) = self.problems.first() else {
            return Error::new(ErrorKind::Spec, format!("the spec is not valid{place}"));
        };
        let more = match self.problems.len() - 1 {
            0 => String::new(),
            1 => " (and 1 more problem)".into(),
            more => format!(" (and {more} more problems)"),
        };
        let message = format!("{}{place}{more}", first.message);
        let mut error = Error::new(first.kind, message).at(&first.pointer);
        if !first.hint.is_empty() {
            error = error.with_hint(&first.hint);
        }
        error.with_problems(self.problems)
    }
}

/// The kind, pointer and hint of the first problem; all of them by [`Error::problems`].
impl From<InvalidSpec> for Error {
    fn from(invalid: InvalidSpec) -> Self {
        invalid.into_error("")
    }
}
