//! What can be made to go wrong with one answer.

use std::time::Duration;

use crate::{Error, ErrorKind, Request, Validator};

/// What goes wrong with one answer of a [`Faulty`](super::Faulty) or [`ScriptedDownloader`](super::ScriptedDownloader). Always the
/// same, at the very byte.
///
/// Faults are put together by [`and`](Self::and): `Fault::no_validator().and(Fault::error_at(10, ErrorKind::Network))`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    pub(super) opening: Opening,
    pub(super) ranges: Asked,
    pub(super) validator: Change<Validator>,
    pub(super) total: Change<u64>,
    pub(super) corrupt: Vec<u64>,
    pub(super) ending: Option<(Point, Ending)>,
}

/// What becomes of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Opening {
    #[default]
    Answered,
    Refused(Failure),
    Silent,
}

/// What the backend behind is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    #[default]
    AsItCame,
    ForTheWhole,
}

/// What becomes of a thing that an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Change<T> {
    #[default]
    Kept,
    Dropped,
    Replaced(T),
}

/// How a body ends before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Error(Failure),
    Silence,
    End,
}

/// Where in a body something happens. A plain number is a [`Point::Byte`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Point {
    /// Before this byte of the content, wherever the answer starts. An answer that starts behind it is not touched.
    Byte(u64),
    /// When the answer has given this many bytes, wherever it starts.
    After(u64),
}

impl From<u64> for Point {
    fn from(byte: u64) -> Self {
        Self::Byte(byte)
    }
}

/// The error that a fault makes. A plain [`ErrorKind`] is as temporary as [`Error::new`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: ErrorKind,
    lasting: Lasting,
    retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    ByKind,
    Temporary,
    Permanent,
}

impl Failure {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            lasting: Lasting::ByKind,
            retry_after: None,
        }
    }

    /// One that may pass.
    #[must_use]
    pub fn temporary(mut self) -> Self {
        self.lasting = Lasting::Temporary;
        self
    }

    /// One that stays.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.lasting = Lasting::Permanent;
        self
    }

    /// One that asks to wait this long before the next try.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(super) fn error(&self, request: &Request, what: &str) -> Error {
        let error = Error::new(self.kind, format!("a scripted fault: {what}"))
            .with_url(request.url())
            .with_retry_after(self.retry_after);
        match self.lasting {
            Lasting::ByKind => error,
            Lasting::Temporary => error.temporary(),
            Lasting::Permanent => error.permanent(),
        }
    }
}

impl From<ErrorKind> for Failure {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl Fault {
    /// Nothing goes wrong: for the place of a good answer in a list.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The request is refused; the backend behind is not asked.
    #[must_use]
    pub fn refused(failure: impl Into<Failure>) -> Self {
        Self {
            opening: Opening::Refused(failure.into()),
            ..Self::default()
        }
    }

    /// The request is never answered; the backend behind is not asked.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            opening: Opening::Silent,
            ..Self::default()
        }
    }

    /// The body gives the bytes before the point, then an error.
    #[must_use]
    pub fn error_at(point: impl Into<Point>, failure: impl Into<Failure>) -> Self {
        Self::ending(point, Ending::Error(failure.into()))
    }

    /// The body gives the bytes before the point, and then ends as if that were all: what rule 13 forbids.
    #[must_use]
    pub fn truncated_at(point: impl Into<Point>) -> Self {
        Self::ending(point, Ending::End)
    }

    /// The body gives the bytes before the point, then nothing until it is dropped. No timer runs: under tokio's paused clock the
    /// caller's patience is over at once.
    #[must_use]
    pub fn stalled_at(point: impl Into<Point>) -> Self {
        Self::ending(point, Ending::Silence)
    }

    fn ending(point: impl Into<Point>, ending: Ending) -> Self {
        Self {
            ending: Some((point.into(), ending)),
            ..Self::default()
        }
    }

    /// This byte of the content comes with all its bits inverted.
    #[must_use]
    pub fn corrupt_at(byte: u64) -> Self {
        Self {
            corrupt: vec![byte],
            ..Self::default()
        }
    }

    /// The answer carries this validator instead of its own. What it is an answer to stays the same, so this backend may splice: what
    /// rule 4 forbids. With [`no_ranges`](Self::no_ranges) it is a good source whose content has changed.
    #[must_use]
    pub fn other_validator(validator: Validator) -> Self {
        Self {
            validator: Change::Replaced(validator),
            ..Self::default()
        }
    }

    /// The answer carries no validator.
    #[must_use]
    pub fn no_validator() -> Self {
        Self {
            validator: Change::Dropped,
            ..Self::default()
        }
    }

    /// The answer starts at zero, whatever was asked.
    #[must_use]
    pub fn no_ranges() -> Self {
        Self {
            ranges: Asked::ForTheWhole,
            ..Self::default()
        }
    }

    /// The answer states this total instead of its own.
    #[must_use]
    pub fn other_total(total: u64) -> Self {
        Self {
            total: Change::Replaced(total),
            ..Self::default()
        }
    }

    /// The answer states no total.
    #[must_use]
    pub fn no_total() -> Self {
        Self {
            total: Change::Dropped,
            ..Self::default()
        }
    }

    /// Both faults in one answer. Where they contradict each other, `other` wins.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        if other.opening != Opening::Answered {
            self.opening = other.opening;
        }
        if other.ranges != Asked::AsItCame {
            self.ranges = other.ranges;
        }
        if other.validator != Change::Kept {
            self.validator = other.validator;
        }
        if other.total != Change::Kept {
            self.total = other.total;
        }
        self.corrupt.extend(other.corrupt);
        self.ending = other.ending.or(self.ending);
        self
    }
}
