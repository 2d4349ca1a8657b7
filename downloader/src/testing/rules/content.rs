//! What comes, and how much of it.

use bytes::Bytes;

use crate::Request;
use crate::testing::probe::{Probe, content};
use crate::testing::reading::Step;
use crate::testing::{Fixture, Outcome, Rule, Totals, Verdict};

/// The largest piece that a body may give.
const LARGEST_CHUNK: usize = 4 * 1024 * 1024;

/// Rule 1: the whole content, byte for byte, as often as it is asked for.
///
/// # Errors
///
/// How the rule is broken.
pub async fn whole(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::Whole);
    let check = async {
        for size in [1, 1000, 300_000] {
            let bytes = content(&format!("whole {size}"), size);
            let url = probe.publish(&format!("of-{size}"), &bytes).await;
            for note in ["", "the same once more"] {
                probe
                    .read(&Request::new(url.clone()), note, &bytes, &[0])
                    .await?;
            }
            let other = content("replaced", size + 1);
            let url = probe.publish(&format!("of-{size}"), &other).await;
            let note = "after the content was replaced";
            probe.read(&Request::new(url), note, &other, &[0]).await?;
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 6: a stated total is that of the whole.
///
/// # Errors
///
/// How the rule is broken.
pub async fn total(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::Total);
    let check = async {
        for size in [1_usize, 1000, 300_000] {
            let bytes = content("total", size);
            let url = probe.publish("content", &bytes).await;
            for offset in [0, size as u64 / 2] {
                let request = Request::new(url.clone()).with_offset(offset);
                let (head, _) = probe
                    .answer(&request, "", &bytes, &probe.starts(offset))
                    .await?;
                let expected = format!("the total {size}");
                match (head.total, probe.claims().totals) {
                    (Some(total), _) if total != size as u64 => {
                        let got = format!("the total {total}, starting at byte {}", head.start);
                        return probe.broken(expected, got);
                    }
                    (None, Totals::Stated) => {
                        let got = "no total, although the fixture claims `Totals::Stated`";
                        return probe.broken(expected, got);
                    }
                    _ => {}
                }
            }
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 14: nothing is a content, too.
///
/// # Errors
///
/// How the rule is broken.
pub async fn empty(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::Empty);
    let check = async {
        let url = probe.publish("content", &Bytes::new()).await;
        for expected_size in [None, Some(0)] {
            let request = Request::new(url.clone()).with_expected_size(expected_size);
            let note = "a content of no bytes";
            let head = probe.read(&request, note, &Bytes::new(), &[0]).await?;
            if let Some(total) = head.total.filter(|total| *total > 0) {
                return probe.broken("the total 0, or none", format!("the total {total}"));
            }
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 15: a large content in pieces.
///
/// # Errors
///
/// How the rule is broken.
pub async fn chunks(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::Chunks);
    let check = async {
        let bytes = content("chunks", 2 * LARGEST_CHUNK + 12_345);
        let request = Request::new(probe.publish("content", &bytes).await);
        let (_, mut reading) = probe.answer(&request, "", &bytes, &[0]).await?;
        while reading.advance(probe).await? == Step::More {
            if reading.largest > LARGEST_CHUNK {
                let expected = format!("pieces of {LARGEST_CHUNK} bytes at most");
                return probe.broken(expected, format!("one of {} bytes", reading.largest));
            }
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}
