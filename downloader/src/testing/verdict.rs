//! What comes out of a check, for machines and for people.

use std::error::Error;
use std::fmt;

use super::Rule;

/// The verdict on one rule.
pub type Verdict = Result<Outcome, Violation>;

/// That a backend did not break a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was checked, and it holds.
    Kept,
    /// It could not be checked, for this reason.
    Unchecked(String),
}

/// How a backend breaks a rule. The `Debug` form is the whole message, so that `unwrap` in a test shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Violation(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    rule: Rule,
    asked: String,
    expected: String,
    got: String,
}

impl Violation {
    pub(super) fn new(rule: Rule, asked: String, expected: String, got: String) -> Self {
        Self(Box::new(Inner {
            rule,
            asked,
            expected,
            got,
        }))
    }

    /// The rule that is broken.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.0.rule
    }

    /// What was asked of the backend when it broke the rule.
    #[must_use]
    pub fn asked(&self) -> &str {
        &self.0.asked
    }

    /// What it should have done.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.0.expected
    }

    /// What it did.
    #[must_use]
    pub fn got(&self) -> &str {
        &self.0.got
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            rule,
            asked,
            expected,
            got,
        } = &*self.0;
        writeln!(formatter, "{rule} of `Downloader` is broken")?;
        writeln!(formatter, "  rule:      {}", rule.text())?;
        writeln!(formatter, "  asked:     {asked}")?;
        writeln!(formatter, "  expected:  {expected}")?;
        writeln!(formatter, "  got:       {got}")?;
        writeln!(formatter, "  harm:      {}", rule.harm())?;
        write!(
            formatter,
            "  run alone: downloader::testing::rules::{}(&fixture).await.unwrap()",
            rule.function()
        )
    }
}

impl fmt::Debug for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl Error for Violation {}

/// The verdict on every rule. `Display` is one line per rule, then what is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub(super) verdicts: Vec<(Rule, Verdict)>,
}

impl Report {
    /// The verdict on each rule, in the rules' order.
    pub fn verdicts(&self) -> &[(Rule, Verdict)] {
        &self.verdicts
    }

    /// The rules that were checked and hold.
    #[must_use]
    pub fn kept(&self) -> Vec<Rule> {
        let kept = |(rule, verdict): &(Rule, Verdict)| {
            matches!(verdict, Ok(Outcome::Kept)).then_some(*rule)
        };
        self.verdicts.iter().filter_map(kept).collect()
    }

    /// The rules that could not be checked. Assert what you expect here, so that a check does not go missing unseen.
    #[must_use]
    pub fn unchecked(&self) -> Vec<Rule> {
        let unchecked = |(rule, verdict): &(Rule, Verdict)| {
            matches!(verdict, Ok(Outcome::Unchecked(_))).then_some(*rule)
        };
        self.verdicts.iter().filter_map(unchecked).collect()
    }

    /// How rules are broken; empty for a good backend.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.verdicts
            .iter()
            .filter_map(|(_, verdict)| verdict.as_ref().err())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (rule, verdict) in &self.verdicts {
            let verdict = match verdict {
                Ok(Outcome::Kept) => "kept".to_owned(),
                Ok(Outcome::Unchecked(why)) => format!("not checked: {why}"),
                Err(_) => "BROKEN".to_owned(),
            };
            writeln!(
                formatter,
                "{:>2} {:<22} {verdict}",
                rule.number(),
                rule.name()
            )?;
        }
        for violation in self.violations() {
            write!(formatter, "\n{violation}\n")?;
        }
        Ok(())
    }
}
