//! All rules, one after another.

use super::{Fixture, Outcome, Report, Rule};

/// Checks a backend against every rule of [`Downloader`](crate::Downloader), and returns what was checked.
///
/// # Panics
///
/// When the backend breaks a rule: the message names every broken one, what was asked, what should have come and what came.
pub async fn conformance(fixture: &dyn Fixture) -> Report {
    let report = examine(fixture).await;
    let violations: Vec<String> = report.violations().map(ToString::to_string).collect();
    assert!(
        violations.is_empty(),
        "this backend breaks {} of the {} rules of `downloader::Downloader` ({} are kept, {} could not be checked). \
         Begin with the first: others may follow from it.\n\n{}\n",
        violations.len(),
        Rule::ALL.len(),
        report.kept().len(),
        report.unchecked().len(),
        violations.join("\n\n"),
    );
    report
}

/// The same without the panic: what is broken is in the report.
///
/// A backend that breaks the first rule is not asked further, since nothing could be told from its answers.
pub async fn examine(fixture: &dyn Fixture) -> Report {
    let mut verdicts = Vec::with_capacity(Rule::ALL.len());
    let mut unusable = false;
    for rule in Rule::ALL {
        let verdict = if unusable {
            Ok(Outcome::Unchecked(format!("{} is broken", Rule::Whole)))
        } else {
            rule.check(fixture).await
        };
        unusable |= *rule == Rule::Whole && verdict.is_err();
        verdicts.push((*rule, verdict));
    }
    Report { verdicts }
}
