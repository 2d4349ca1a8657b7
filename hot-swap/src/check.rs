//! Does the binary that is in place now work?

use std::ffi::OsString;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, Executed, HealthProbe, HotSwap, ServiceState, Unhealthy};

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a service that is not healthy yet is asked.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// What a binary must say of its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) expected: String,
    pub(crate) arguments: Vec<OsString>,
}

impl Version {
    /// Whether an answer is the right one; if not, why.
    pub(crate) fn judge(&self, executed: &Executed) -> Result<(), Error> {
        let output = executed.output.trim();
        let shown = subprocess::end_of(output, 500);
        if !executed.success {
            let text = format!("asked for its version, it fails: {shown}");
            return Err(Error::runtime(text));
        }
        if is_named(output, &self.expected) {
            return Ok(());
        }
        let text = format!("it is not version {}: it says {shown:?}", self.expected);
        Err(Error::runtime(text))
    }
}

/// Whether a text names a version, and not a longer one that contains it: `1.2` is not in `v1.2.3` or `11.2`, but in `v1.2, linux`.
fn is_named(text: &str, version: &str) -> bool {
    if version.is_empty() {
        return true;
    }
    let mut from = 0;
    while let Some(at) = text[from..].find(version) {
        let start = from + at;
        let (before, after) = (&text[..start], &text[start + version.len()..]);
        let begins = !before.ends_with(|letter: char| letter.is_ascii_digit() || letter == '.');
        let ends = match after.as_bytes() {
            [b'.', next, ..] => !next.is_ascii_alphanumeric(),
            [next, ..] => !(next.is_ascii_alphanumeric() || matches!(next, b'-' | b'+')),
            [] => true,
        };
        if begins && ends {
            return true;
        }
        from = start + version.chars().next().map_or(1, char::len_utf8);
    }
    false
}

/// Watches a service that was just started: it must run for a while without being started again, and pass the probe, which is asked
/// until then.
pub(crate) async fn service(
    swap: &HotSwap,
    probe: Option<&dyn HealthProbe>,
    deadline: Instant,
) -> Result<(), Error> {
    let last = Mutex::new(None);
    let watching = watch(swap, probe, &last);
    match tokio::time::timeout_at(deadline, watching).await {
        Ok(done) => done,
        Err(_) => Err(
            match last.into_inner().unwrap_or_else(PoisonError::into_inner) {
                Some(unhealthy) => {
                    let seconds = swap.deadline.as_secs_f32();
                    let text = format!("it does not pass its health probe within {seconds} s");
                    Error::runtime(text).with_source(unhealthy)
                }
                None => Error::late("it did not come up", swap.deadline),
            },
        ),
    }
}

/// Notes the probe's last answer.
async fn watch(
    swap: &HotSwap,
    probe: Option<&dyn HealthProbe>,
    last: &Mutex<Option<Unhealthy>>,
) -> Result<(), Error> {
    let passing = async {
        let Some(probe) = probe else { return };
        while let Err(unhealthy) = probe.check(&swap.target).await {
            tracing::debug!(%unhealthy, "not healthy yet");
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(unhealthy);
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    let Some(runtime) = &swap.runtime else {
        passing.await;
        return Ok(());
    };
    tokio::pin!(passing);
    let mut has_passed = false;
    let mut first: Option<(String, Instant)> = None;
    loop {
        match runtime.state().await? {
            ServiceState::Running(start) => match &first {
                Some((known, _)) if *known != start => {
                    return Err(Error::runtime("it ended, and was started again by itself"));
                }
                Some((_, since)) if has_passed && since.elapsed() >= swap.settle => return Ok(()),
                Some(_) => {}
                None => first = Some((start, Instant::now())),
            },
            ServiceState::Starting => {}
            ServiceState::Stopped(how) => {
                return Err(Error::runtime(format!("it does not run: {how}")));
            }
        }
        tokio::select! {
            () = &mut passing, if !has_passed => has_passed = true,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_in_full() {
        for text in [
            "1.2.3",
            "server 1.2.3",
            "server v1.2.3 (linux)",
            "server/1.2.3.",
            "21.2.3 and 1.2.3",
        ] {
            assert!(is_named(text, "1.2.3"), "{text}");
        }
        for text in [
            "",
            "1.2.30",
            "1.2.3.4",
            "11.2.3",
            "0.1.2.3",
            "1.2.3-rc1",
            "1.2.3+x",
            "1.2.3a",
        ] {
            assert!(!is_named(text, "1.2.3"), "{text}");
        }
        assert!(is_named("anything", ""));
    }

    #[test]
    fn an_answer_is_judged() {
        let version = Version {
            expected: "1.2".into(),
            arguments: Vec::new(),
        };
        let judge = |success, output: &str| {
            let output = output.to_owned();
            version
                .judge(&Executed { success, output })
                .map_err(|error| error.to_string())
        };
        assert_eq!(judge(true, "v1.2\n"), Ok(()));
        assert_eq!(
            judge(true, "v1.3\n").unwrap_err(),
            "it is not version 1.2: it says \"v1.3\""
        );
        assert_eq!(
            judge(false, "no such option\n").unwrap_err(),
            "asked for its version, it fails: no such option"
        );
    }
}
