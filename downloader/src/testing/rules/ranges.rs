//! Offsets.

use bytes::Bytes;
use url::Url;

use crate::testing::probe::{Probe, content};
use crate::testing::{Fixture, Outcome, Ranges, Rule, Verdict, Violation};
use crate::{ErrorKind, Request, Validator};

/// Rule 2: from the offset or from zero, and labelled as what it is.
///
/// # Errors
///
/// How the rule is broken.
pub async fn start(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::Start);
    let check = async {
        let size = 1_300_000;
        let bytes = content("start", size);
        let url = probe.publish("content", &bytes).await;
        for offset in [1, 65_536, 600_001, size as u64 - 1] {
            let request = Request::new(url.clone()).with_offset(offset);
            probe
                .read(&request, "", &bytes, &probe.starts(offset))
                .await?;
            let request = request.with_expected_size(Some(size as u64));
            probe
                .read(&request, "", &bytes, &probe.starts(offset))
                .await?;
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 9: no byte there.
///
/// # Errors
///
/// How the rule is broken.
pub async fn range_not_satisfiable(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::RangeNotSatisfiable);
    let check = async {
        let bytes = content("range", 1000);
        let url = probe.publish("content", &bytes).await;
        for offset in [1000, 1001, 1 << 40, u64::MAX - 1] {
            let request = Request::new(url.clone()).with_offset(offset);
            let note = "the content has 1000 bytes";
            beyond(probe, &request, note, &bytes, probe.claims().ranges).await?;
            let request = request.with_length(Some(10));
            beyond(probe, &request, note, &bytes, probe.claims().ranges).await?;
        }
        let empty = Bytes::new();
        let request = Request::new(probe.publish("empty", &empty).await).with_offset(1);
        // Servers differ here, and a caller that starts over loses nothing.
        beyond(probe, &request, "an empty content", &empty, Ranges::Ignored).await?;
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 19: a part at least, or the rest.
///
/// # Errors
///
/// How the rule is broken.
pub async fn length(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::Length);
    let check = async {
        let size = 300_000;
        let bytes = content("length", size);
        let url = probe.publish("content", &bytes).await;
        for (offset, length) in [
            (0, 1),
            (0, 100_000),
            (0, u64::MAX),
            (100_001, 1),
            (100_001, 100_000),
            (size as u64 - 10, 10),
            (size as u64 - 10, 11),
            (1, u64::MAX),
        ] {
            let request = Request::new(url.clone())
                .with_offset(offset)
                .with_length(Some(length))
                .with_expected_size(Some(size as u64));
            let starts = probe.starts(offset);
            let head = probe.read_part(&request, "", &bytes, &starts).await?;
            if let Some(total) = head.total.filter(|total| *total != size as u64) {
                let expected = format!("the total {size}, which is that of the whole");
                return probe.broken(expected, format!("the total {total}"));
            }
            let Some(validator) = head.validator else {
                continue;
            };
            let same = request.with_if_range(Some(validator));
            let note = "the validator of the answer before";
            probe.read_part(&same, note, &bytes, &starts).await?;
        }
        changed(probe, &url).await?;
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 4 holds for parts as well.
async fn changed(probe: &Probe<'_>, url: &Url) -> Result<(), Violation> {
    let bytes = content("another", 200_000);
    probe.publish("content", &bytes).await;
    let request = Request::new(url.clone())
        .with_offset(100_001)
        .with_length(Some(1000))
        .with_if_range(Validator::from_etag("\"of-nothing-that-was-ever-here\""));
    let note = "a validator that the source never gave";
    probe.read(&request, note, &bytes, &[0]).await?;
    Ok(())
}

async fn beyond(
    probe: &Probe<'_>,
    request: &Request,
    note: &str,
    content: &Bytes,
    ranges: Ranges,
) -> Result<(), Violation> {
    if ranges == Ranges::Ignored && probe.open(request, note).await.is_ok() {
        probe.read_part(request, note, content, &[0]).await?;
    } else {
        probe
            .refusal(request, note, &[ErrorKind::RangeNotSatisfiable])
            .await?;
    }
    Ok(())
}
