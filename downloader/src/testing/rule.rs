//! The rules of the trait, by number and name.

use std::fmt;

use super::{Fixture, Verdict, rules};

/// A rule of [`Downloader`](crate::Downloader), as that trait's documentation numbers and names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// Rule 1.
    Whole,
    /// Rule 2.
    Start,
    /// Rule 3.
    IfRangeSame,
    /// Rule 4.
    IfRangeChanged,
    /// Rule 5.
    Validator,
    /// Rule 6.
    Total,
    /// Rule 7.
    ExpectedSize,
    /// Rule 8.
    NotFound,
    /// Rule 9.
    RangeNotSatisfiable,
    /// Rule 10.
    ForeignScheme,
    /// Rule 11.
    UserInformation,
    /// Rule 12.
    Secrets,
    /// Rule 13.
    BrokenBody,
    /// Rule 14.
    Empty,
    /// Rule 15.
    Chunks,
    /// Rule 16.
    DroppedOpen,
    /// Rule 17.
    DroppedBody,
    /// Rule 18.
    Concurrent,
    /// Rule 19.
    Length,
}

impl Rule {
    /// All of them, in order.
    pub const ALL: &[Self] = &[
        Self::Whole,
        Self::Start,
        Self::IfRangeSame,
        Self::IfRangeChanged,
        Self::Validator,
        Self::Total,
        Self::ExpectedSize,
        Self::NotFound,
        Self::RangeNotSatisfiable,
        Self::ForeignScheme,
        Self::UserInformation,
        Self::Secrets,
        Self::BrokenBody,
        Self::Empty,
        Self::Chunks,
        Self::DroppedOpen,
        Self::DroppedBody,
        Self::Concurrent,
        Self::Length,
    ];

    /// Its number in the trait's documentation.
    #[must_use]
    pub fn number(self) -> usize {
        self as usize + 1
    }

    /// Its name in the trait's documentation.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    /// Its wording in the trait's documentation.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.entry().1
    }

    /// What goes wrong for a caller when a backend breaks it.
    #[must_use]
    pub fn harm(self) -> &'static str {
        self.entry().2
    }

    /// The name of the function in [`rules`] that checks it alone.
    #[must_use]
    pub fn function(self) -> String {
        self.name().replace('-', "_")
    }

    /// Checks a backend against this rule alone.
    ///
    /// # Errors
    ///
    /// The [`Violation`](super::Violation), when the backend breaks it.
    pub async fn check(self, fixture: &dyn Fixture) -> Verdict {
        match self {
            Self::Whole => rules::whole(fixture).await,
            Self::Start => rules::start(fixture).await,
            Self::IfRangeSame => rules::if_range_same(fixture).await,
            Self::IfRangeChanged => rules::if_range_changed(fixture).await,
            Self::Validator => rules::validator(fixture).await,
            Self::Total => rules::total(fixture).await,
            Self::ExpectedSize => rules::expected_size(fixture).await,
            Self::NotFound => rules::not_found(fixture).await,
            Self::RangeNotSatisfiable => rules::range_not_satisfiable(fixture).await,
            Self::ForeignScheme => rules::foreign_scheme(fixture).await,
            Self::UserInformation => rules::user_information(fixture).await,
            Self::Secrets => rules::secrets(fixture).await,
            Self::BrokenBody => rules::broken_body(fixture).await,
            Self::Empty => rules::empty(fixture).await,
            Self::Chunks => rules::chunks(fixture).await,
            Self::DroppedOpen => rules::dropped_open(fixture).await,
            Self::DroppedBody => rules::dropped_body(fixture).await,
            Self::Concurrent => rules::concurrent(fixture).await,
            Self::Length => rules::length(fixture).await,
        }
    }

    /// Name, wording, harm.
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn entry(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Whole => (
                "whole",
                "Without an offset, the answer starts at zero; its body is the whole content, byte for byte, and then ends.",
                "Every fetch fails its digest, or never ends.",
            ),
            Self::Start => (
                "start",
                "With an offset, the answer starts at that byte, or at zero where the source can do no better, never elsewhere; \
                 `Response::start` says which, and the body goes on to the content's end.",
                "A resumed file gets bytes at the wrong place; it fails its digest and is fetched again in one piece.",
            ),
            Self::IfRangeSame => (
                "if-range-same",
                "With an offset and an `if_range` that is still the content's validator, the answer starts as without `if_range`: \
                 what came before may be joined to it.",
                "An interrupted transfer never resumes: everything is fetched again.",
            ),
            Self::IfRangeChanged => (
                "if-range-changed",
                "With an `if_range` that is not the validator of what the URL names now, the answer is the whole of what it names \
                 now, even if that is shorter than the offset.",
                "The end of one content is joined to the beginning of another: a file that never existed.",
            ),
            Self::Validator => (
                "validator",
                "A validator is the same in each answer, whole or part, while the content is the same, and another one as soon as \
                 the content is another, even of the same size. A source that cannot promise this gives none.",
                "If it stays the same, unlike contents are joined; if it changes without need, nothing is ever resumed.",
            ),
            Self::Total => (
                "total",
                "A stated total is the size of the whole content, in a part as well.",
                "The source is given up as one that has another file, or progress shows nonsense.",
            ),
            Self::ExpectedSize => (
                "expected-size",
                "A backend that knows the size refuses a request whose `expected_size` is another with `Protocol`, before any byte.",
                "Gigabytes of the wrong file are fetched before anybody notices.",
            ),
            Self::NotFound => (
                "not-found",
                "What the source does not have, or has no longer, is refused with `NotFound`.",
                "The source is asked again and again instead of the next one, and the user is told of the wrong trouble.",
            ),
            Self::RangeNotSatisfiable => (
                "range-not-satisfiable",
                "A non-zero offset at or behind the end is refused with `RangeNotSatisfiable`; a source that knows no ranges starts \
                 at zero instead. So may an empty content.",
                "A partial file that is longer than the content is never dropped, so the update never gets past it.",
            ),
            Self::ForeignScheme => (
                "foreign-scheme",
                "A URL of a scheme that the backend does not serve is refused with `Unsupported` or `Policy`.",
                "A URL that can never work is retried, or something else than it names is read.",
            ),
            Self::UserInformation => (
                "user-information",
                "A URL with a user name or password is refused with `Policy`: credentials belong to the backend's configuration, \
                 not into a manifest.",
                "Whoever writes a manifest chooses with whose credentials files are read.",
            ),
            Self::Secrets => (
                "secrets",
                "No error shows a URL's user information or query, in its text, its causes or its `Debug` form.",
                "Signed URLs and passwords end up in logs and bug reports.",
            ),
            Self::BrokenBody => (
                "broken-body",
                "A body that breaks off yields an error and then ends; it never just ends. The bytes before the error were good.",
                "A caller that knows no size takes half a document for the whole.",
            ),
            Self::Empty => (
                "empty",
                "An empty content is an answer without bytes, not an error.",
                "A release with an empty file, such as many an `__init__.py`, cannot be fetched.",
            ),
            Self::Chunks => (
                "chunks",
                "A large content comes in pieces of 4 MiB at most, so that memory stays flat.",
                "A model of ten gigabytes is held in memory, eight at a time.",
            ),
            Self::DroppedOpen => (
                "dropped-open",
                "The future of `open` may be dropped at any time. Nothing stays taken, and the next request is served.",
                "After some cancelled or stalled requests the backend serves nobody any more.",
            ),
            Self::DroppedBody => (
                "dropped-body",
                "A body may be dropped at any time, read to its end or not. Nothing stays taken, and the next request is served.",
                "After some cancelled or stalled transfers the backend serves nobody any more.",
            ),
            Self::Concurrent => (
                "concurrent",
                "Many requests and bodies may be under way at once. None waits for another to be read to its end, and none gets \
                 another's bytes.",
                "Parallel downloads stand still, or files get each other's bytes.",
            ),
            Self::Length => (
                "length",
                "With a length, the body may end as soon as it has given that many bytes, counted from the request's offset, and not \
                 before that unless the content ends; a backend may as well ignore the length. Whoever asks stops reading, and compares \
                 the validator, since the answer may come from another content and start at the offset all the same, if that is zero. \
                 All else holds as without a length: `total` is the size of the whole. An empty content may be refused with \
                 `RangeNotSatisfiable`.",
                "Whoever reads a file piece by piece, such as an archive's directory, gets too little, or takes a piece for the whole.",
            ),
        }
    }
}

/// `rule 2 (start)`.
impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "rule {} ({})", self.number(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trait_documents_every_rule_word_for_word() {
        let documentation: Vec<&str> = include_str!("../downloader.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("///"))
            .flat_map(str::split_whitespace)
            .collect();
        let documentation = documentation.join(" ");
        for (index, rule) in Rule::ALL.iter().enumerate() {
            assert_eq!(rule.number(), index + 1, "{rule:?} is out of order");
            let item = format!("{}. **{}**: {}", rule.number(), rule.name(), rule.text());
            assert!(documentation.contains(&item), "not documented: {item}");
        }
        let next = format!("{}. **", Rule::ALL.len() + 1);
        assert!(!documentation.contains(&next), "a rule that nothing checks");
    }
}
