//! The suite can fail: each rule catches the backend that breaks it.

use downloader::testing::{Rule, Violation, conformance, examine, rules};

use crate::conformance_liar::{Liar, Lie};

/// The rules that a backend with this lie breaks, and no others.
async fn broken(lie: Lie) -> Vec<Rule> {
    let report = examine(&Liar::new(lie)).await;
    report.violations().map(Violation::rule).collect()
}

async fn caught(lies: &[(Lie, &[Rule])]) {
    for (lie, rules) in lies {
        assert_eq!(broken(*lie).await, *rules, "{lie:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_lie_nothing_is_found() {
    let report = examine(&Liar::new(Lie::None)).await;
    assert_eq!(report.kept(), Rule::ALL, "{report}");
}

#[tokio::test(start_paused = true)]
async fn wrong_bytes() {
    caught(&[
        (Lie::AddsAByte, &[Rule::Whole]),
        (Lie::FlipsTheLastBit, &[Rule::Whole]),
        (Lie::NeverEnds, &[Rule::Whole]),
        (Lie::RefusesTheSecondTime, &[Rule::Whole]),
        (Lie::KeepsTheOldContent, &[Rule::Whole]),
        (Lie::StatesWhatIsLeftAsTotal, &[Rule::Total, Rule::Length]),
        (Lie::StatesNoTotal, &[Rule::Total]),
        (
            Lie::RefusesEmptyContents,
            &[Rule::RangeNotSatisfiable, Rule::Empty],
        ),
        (Lie::AnswersInOnePiece, &[Rule::Chunks]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn wrong_places() {
    caught(&[
        (Lie::EndsBehindTheEnd, &[Rule::RangeNotSatisfiable]),
        (Lie::PanicsBehindTheEnd, &[Rule::RangeNotSatisfiable]),
        (Lie::EndsBeforeTheLength, &[Rule::Length]),
        (Lie::StatesTheLengthAsTotal, &[Rule::Length]),
        (Lie::IgnoresIfRangeWithALength, &[Rule::Length]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_starts_elsewhere_breaks_what_builds_on_it_too() {
    for lie in [
        Lie::IgnoresOffsets,
        Lie::IgnoresOffsetsButSaysOtherwise,
        Lie::StartsAtBlocks,
        Lie::EndsOneByteEarly,
    ] {
        let broken = broken(lie).await;
        assert_eq!(broken[0], Rule::Start, "{lie:?} {broken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_validators() {
    caught(&[
        (
            Lie::TakesEveryValidatorForStale,
            &[Rule::IfRangeSame, Rule::Length],
        ),
        (Lie::IgnoresIfRange, &[Rule::IfRangeChanged, Rule::Length]),
        (
            Lie::JudgesTheOffsetBeforeTheValidator,
            &[Rule::IfRangeChanged],
        ),
        (
            Lie::HasOneValidatorForAll,
            &[Rule::IfRangeChanged, Rule::Validator],
        ),
        (
            Lie::TakesTheSizeForTheValidator,
            &[Rule::IfRangeChanged, Rule::Validator],
        ),
        (
            Lie::HasAnotherValidatorEachTime,
            &[Rule::IfRangeSame, Rule::Validator, Rule::Length],
        ),
        (Lie::HasNoValidatorForParts, &[Rule::Validator]),
        (Lie::HasNoValidator, &[Rule::Validator]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn wrong_refusals() {
    caught(&[
        (Lie::IgnoresTheExpectedSize, &[Rule::ExpectedSize]),
        (Lie::RefusesTheWrongSizeForAWhile, &[Rule::ExpectedSize]),
        (Lie::SaysStatus, &[Rule::NotFound]),
        (Lie::SaysNotFoundForAWhile, &[Rule::NotFound]),
        (Lie::ForgetsTheNeighbours, &[Rule::NotFound]),
        (Lie::ServesAnyScheme, &[Rule::ForeignScheme]),
        (Lie::IgnoresUserInformation, &[Rule::UserInformation]),
        (Lie::ShowsTheUrl, &[Rule::Secrets]),
        (Lie::ShowsTheUrlInTheCause, &[Rule::Secrets]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn bodies_that_misbehave() {
    caught(&[
        (Lie::EndsSilently, &[Rule::BrokenBody]),
        (Lie::GoesOnAfterTheError, &[Rule::BrokenBody]),
        (Lie::SaysNotFoundWhenItBreaks, &[Rule::BrokenBody]),
        (Lie::ServesOneAtATime, &[Rule::Concurrent]),
        (Lie::MixesBodiesUp, &[Rule::Concurrent]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_leaked_by_one_rule_is_missing_in_the_next() {
    for (lie, rule) in [
        (Lie::LosesPermitsOfRequests, Rule::DroppedOpen),
        (Lie::LosesPermitsOfBodies, Rule::DroppedBody),
    ] {
        let broken = broken(lie).await;
        assert_eq!(broken[0], rule, "{lie:?} {broken:?}");
        assert!(broken.contains(&Rule::Concurrent), "{lie:?} {broken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fixture_that_fails_is_no_verdict() {
    for (lie, text) in [
        (Lie::CannotPublish, "the disk is full"),
        (Lie::NeverPublishes, "the fixture of rule 1 (whole) hangs"),
    ] {
        let suite = tokio::spawn(async move { examine(&Liar::new(lie)).await });
        let panic = suite.await.unwrap_err().into_panic();
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        assert!(said.unwrap().starts_with(text), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_message_says_what_was_asked_and_what_came() {
    let liar = Liar::new(Lie::IgnoresIfRange);
    let violation = rules::if_range_changed(&liar).await.unwrap_err();
    assert_eq!(
        format!("{violation:?}"),
        "rule 4 (if-range-changed) of `Downloader` is broken\n\
         \x20 rule:      With an `if_range` that is not the validator of what the URL names now, the answer is the whole of what it \
         names now, even if that is shorter than the offset.\n\
         \x20 asked:     open liar://host/if-range-changed-content, offset 100001, if_range \"of-nothing-that-was-ever-here\" \
         (a validator that the source never gave)\n\
         \x20 expected:  an answer that starts at byte 0\n\
         \x20 got:       an answer that starts at byte 100001\n\
         \x20 harm:      The end of one content is joined to the beginning of another: a file that never existed.\n\
         \x20 run alone: downloader::testing::rules::if_range_changed(&fixture).await.unwrap()"
    );
}

#[tokio::test(start_paused = true)]
async fn what_came_is_described_so_that_the_mistake_can_be_seen() {
    for (lie, rule, got) in [
        (
            Lie::IgnoresOffsetsButSaysOtherwise,
            Rule::Start,
            "what comes there is the content from byte 0 on",
        ),
        (
            Lie::AddsAByte,
            Rule::Whole,
            "more than these, at least 2 bytes",
        ),
        (Lie::NeverEnds, Rule::Whole, "nothing within 30 s: it hangs"),
        (
            Lie::EndsOneByteEarly,
            Rule::Start,
            "an end at byte 1299999 of 1300000, without an error",
        ),
        (
            Lie::PanicsBehindTheEnd,
            Rule::RangeNotSatisfiable,
            "the panic \"no such byte\"",
        ),
        (
            Lie::SaysStatus,
            Rule::NotFound,
            "the permanent error of the kind `Status`, \"liar://host/not-found-gone: 404\"",
        ),
        (
            Lie::ServesOneAtATime,
            Rule::Concurrent,
            "nothing within 30 s: it hangs",
        ),
    ] {
        let violation = rule.check(&Liar::new(lie)).await.unwrap_err();
        assert!(violation.got().contains(got), "{violation}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_suite_panics_with_every_broken_rule() {
    let suite = tokio::spawn(async { conformance(&Liar::new(Lie::HasOneValidatorForAll)).await });
    let panic = suite.await.unwrap_err().into_panic();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(
        text.starts_with(
            "this backend breaks 2 of the 19 rules of `downloader::Downloader` (17 are kept, 0 could not be checked)."
        ),
        "{text}"
    );
    for part in ["rule 4 (if-range-changed)", "rule 5 (validator)"] {
        assert!(text.contains(part), "{text}");
    }
}
