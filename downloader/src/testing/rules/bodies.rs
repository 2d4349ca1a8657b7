//! Bodies that break, are left, or come side by side.

use futures::StreamExt as _;
use futures::future::join_all;

use crate::testing::probe::{Probe, content, polled, refused, unchecked};
use crate::testing::reading::Step;
use crate::testing::{Breaking, Fixture, Outcome, Rule, Verdict};
use crate::{ErrorKind, Request};

/// More than any pool that a backend should need: what leaks one of each is dry after so many.
const ROUNDS: usize = 64;
/// Twice as many as an updater has under way by default.
const TOGETHER: usize = 16;

/// Rule 13: no silent end.
///
/// # Errors
///
/// How the rule is broken.
pub async fn broken_body(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::BrokenBody);
    let check = async {
        let bytes = content("broken", 3_000_000);
        let opened = match probe.open_breaking("content", &bytes, 1_000_000).await {
            Breaking::Opened(opened) => opened,
            Breaking::Impossible(why) => return Ok(unchecked(why)),
        };
        let Ok(response) = opened else {
            return Ok(Outcome::Kept); // it noticed before the first byte
        };
        let expected = "some of the content's first bytes, then an error, then the end";
        let mut position = response.start() as usize;
        if position != 0 {
            return probe.broken(expected, format!("a start at byte {position}"));
        }
        let mut body = response.into_body();
        let error = loop {
            match body.next().await {
                Some(Ok(piece)) if bytes[position..].starts_with(&piece) => position += piece.len(),
                Some(Ok(_)) => {
                    let got = format!("other bytes than the content's behind byte {position}");
                    return probe.broken(expected, got);
                }
                Some(Err(error)) => break error,
                None if position == bytes.len() => {
                    return Ok(unchecked(
                        "the body came whole: nothing broke, or it was mended",
                    ));
                }
                None => {
                    let got = format!("an end after {position} bytes, without an error");
                    return probe.broken(expected, got);
                }
            }
        };
        let wrong = [
            ErrorKind::NotFound,
            ErrorKind::RangeNotSatisfiable,
            ErrorKind::Unsupported,
            ErrorKind::Cancelled,
        ];
        if wrong.contains(&error.kind()) {
            let expected = "an error that says that the source failed, such as `Network` or `Io`";
            return probe.broken(expected, refused(&error));
        }
        if body.next().await.is_some() {
            return probe.broken(expected, "something more after the error");
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 16: requests that nobody waits for any more.
///
/// # Errors
///
/// How the rule is broken.
pub async fn dropped_open(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::DroppedOpen);
    let check = async {
        let bytes = content("dropped", 30_000);
        let request = Request::new(probe.publish("content", &bytes).await);
        for round in 0..2 * ROUNDS {
            // Half of them where they first wait, the others further on.
            let times = if round % 2 == 0 { 1 } else { 1 + round % 8 };
            probe.doing(format!(
                "one request after another, dropped on its way: now number {}, after {times} polls",
                round + 1
            ));
            if let Some(Ok(response)) = polled(probe.downloader().open(&request), times).await {
                // It was quicker. A body left unread is another rule's.
                response.into_body().for_each(async |_| {}).await;
            }
        }
        let note = format!(
            "after {} requests that were dropped on their way",
            2 * ROUNDS
        );
        probe.read(&request, &note, &bytes, &[0]).await?;
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 17: bodies that nobody reads any more.
///
/// # Errors
///
/// How the rule is broken.
pub async fn dropped_body(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::DroppedBody);
    let check = async {
        let bytes = content("dropped", 1_000_000);
        let request = Request::new(probe.publish("content", &bytes).await);
        for round in 0..ROUNDS {
            let note = format!("after {round} bodies that were dropped half read");
            let (_, mut reading) = probe.answer(&request, &note, &bytes, &[0]).await?;
            // Some are dropped before the first piece.
            if round % 4 > 0 {
                reading.advance(probe).await?;
            }
        }
        let note = format!("after {ROUNDS} bodies that were dropped half read");
        probe.read(&request, &note, &bytes, &[0]).await?;
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 18: side by side.
///
/// # Errors
///
/// How the rule is broken.
pub async fn concurrent(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::Concurrent);
    let check = async {
        let mut requests = Vec::new();
        for index in 0..TOGETHER {
            // Each content is asked for twice, once from its middle.
            let name = format!("content-{}", index / 2);
            let bytes = content(&name, 100_000);
            let offset = 50_000 * (index as u64 % 2);
            let request = Request::new(probe.publish(&name, &bytes).await).with_offset(offset);
            requests.push((request, bytes, probe.starts(offset)));
        }
        probe.doing(format!(
            "{TOGETHER} requests at once, of {} contents, none read before all are answered",
            TOGETHER / 2
        ));
        let opens = requests.iter().map(async |(request, bytes, starts)| {
            let note = format!("{TOGETHER} requests at once, none read before all are answered");
            probe.answer(request, &note, bytes, starts).await
        });
        let mut readings = Vec::new();
        for opened in join_all(opens).await {
            readings.push(opened?.1);
        }
        // One piece of each in turn, the last one first.
        while let Some(mut reading) = readings.pop() {
            if reading.advance(probe).await? == Step::More {
                readings.insert(0, reading);
            }
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}
