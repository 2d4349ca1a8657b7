//! Validators, and what is joined by them.

use bytes::Bytes;

use crate::testing::probe::{Probe, content, unchecked};
use crate::testing::{Fixture, Outcome, Rule, Validators, Verdict, Violation};
use crate::{Request, Validator};

const SIZE: usize = 300_000;
const OFFSET: u64 = 100_001;
const NO_VALIDATORS: &str = "the fixture claims `Validators::Absent`";

/// The validator of a whole answer; that it must have one is rule 5.
async fn current(
    probe: &Probe<'_>,
    request: &Request,
    bytes: &Bytes,
) -> Result<Option<Validator>, Violation> {
    let (head, _) = probe.answer(request, "", bytes, &[0]).await?;
    Ok(head.validator)
}

/// Rule 3: an unchanged content goes on where it stopped.
///
/// # Errors
///
/// How the rule is broken.
pub async fn if_range_same(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::IfRangeSame);
    let check = async {
        let bytes = content("same", SIZE);
        let whole = Request::new(probe.publish("content", &bytes).await);
        let Some(validator) = current(probe, &whole, &bytes).await? else {
            return Ok(unchecked("the backend gave no validator"));
        };
        for offset in [1, OFFSET, SIZE as u64 - 1] {
            let request = whole
                .clone()
                .with_offset(offset)
                .with_if_range(Some(validator.clone()));
            let note = "the validator that the whole answer carried";
            probe
                .read(&request, note, &bytes, &probe.starts(offset))
                .await?;
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 4: what changed is sent whole.
///
/// # Errors
///
/// How the rule is broken.
pub async fn if_range_changed(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::IfRangeChanged);
    let check = async {
        let old = content("old", SIZE);
        let whole = Request::new(probe.publish("content", &old).await);
        let stale = current(probe, &whole, &old).await?;
        let invented = Validator::from_etag("\"of-nothing-that-was-ever-here\"");
        let request = |validator: Option<Validator>| {
            whole
                .clone()
                .with_offset(OFFSET)
                .with_if_range(validator.clone())
        };
        let note = "a validator that the source never gave";
        probe.read(&request(invented), note, &old, &[0]).await?;
        for (size, note) in [
            (SIZE, "the content was replaced by another of the same size"),
            (SIZE + 1, "the content was replaced by a longer one"),
            (
                1000,
                "the content was replaced by one that ends before the offset",
            ),
        ] {
            let new = content(&format!("new {size}"), size);
            probe.publish("content", &new).await;
            if stale.is_some() {
                probe
                    .read(&request(stale.clone()), note, &new, &[0])
                    .await?;
            }
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 5: as stable as the content, and no stabler.
///
/// # Errors
///
/// How the rule is broken.
pub async fn validator(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::Validator);
    let check = async {
        let old = content("first", SIZE);
        let whole = Request::new(probe.publish("content", &old).await);
        let Some(first) = current(probe, &whole, &old).await? else {
            if probe.claims().validators == Validators::Absent {
                return Ok(unchecked(NO_VALIDATORS));
            }
            return probe.broken(
                "an answer with a validator",
                "one without, although the fixture claims `Validators::Given`",
            );
        };
        for offset in [0, 1, OFFSET] {
            let request = whole.clone().with_offset(offset);
            let note = "the content is still the same";
            let (head, _) = probe
                .answer(&request, note, &old, &probe.starts(offset))
                .await?;
            if head.validator.as_ref() != Some(&first) {
                return probe.broken(format!("the validator {first}"), shown(head.validator));
            }
        }
        let mut last = first;
        for size in [SIZE, SIZE + 1, SIZE] {
            let new = content(&format!("after {last}"), size);
            probe.publish("content", &new).await;
            let next = current(probe, &whole, &new).await?;
            if next.as_ref() == Some(&last) {
                return probe.broken(
                    format!("another validator than {last}, since the content was replaced"),
                    "the same",
                );
            }
            let Some(next) = next else {
                return probe.broken("a validator", "none, now that the content was replaced");
            };
            last = next;
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

fn shown(validator: Option<Validator>) -> String {
    validator.map_or_else(
        || "none".to_owned(),
        |validator| format!("the validator {validator}"),
    )
}
