//! What must be refused, and how.

use url::Url;

use crate::testing::probe::{Probe, content, refused, served, unchecked};
use crate::testing::{Fixture, Outcome, Rule, Schemes, Totals, Verdict};
use crate::{ErrorKind, Request};

const SECRET: &str = "hunter2-must-not-be-shown";

/// Rule 7: another size than the caller expects.
///
/// # Errors
///
/// How the rule is broken.
pub async fn expected_size(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::ExpectedSize);
    let check = async {
        let bytes = content("size", 1000);
        let whole = Request::new(probe.publish("content", &bytes).await);
        for offset in [0, 400] {
            let right = whole.clone().with_offset(offset);
            let request = right.clone().with_expected_size(Some(1000));
            probe
                .read(&request, "which is right", &bytes, &probe.starts(offset))
                .await?;
            for wrong in [0, 999, 1001, u64::MAX] {
                let request = right.clone().with_expected_size(Some(wrong));
                let note = "the content has 1000 bytes";
                if probe.claims().totals == Totals::Unknown {
                    // Nobody can refuse what it does not know.
                    if let Ok(response) = probe.open(&request, note).await
                        && response.total().is_none()
                    {
                        continue;
                    }
                }
                probe
                    .refusal(&request, note, &[ErrorKind::Protocol])
                    .await?;
            }
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 8: what is not there.
///
/// # Errors
///
/// How the rule is broken.
pub async fn not_found(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::NotFound);
    let check = async {
        let bytes = content("here", 1000);
        let gone = Request::new(probe.publish("gone", &bytes).await);
        let neighbour = Request::new(probe.publish("neighbour", &bytes).await);
        probe.remove("gone").await;
        for request in [
            gone.clone(),
            gone.clone().with_offset(500),
            gone.clone().with_expected_size(Some(1000)),
        ] {
            probe
                .refusal(&request, "it was removed", &[ErrorKind::NotFound])
                .await?;
        }
        probe.read(&neighbour, "still there", &bytes, &[0]).await?;
        probe.publish("gone", &bytes).await;
        probe.read(&gone, "there again", &bytes, &[0]).await?;
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 10: not ours.
///
/// # Errors
///
/// How the rule is broken.
pub async fn foreign_scheme(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::ForeignScheme);
    let check = async {
        let kinds: &[ErrorKind] = match probe.claims().schemes {
            Schemes::Own => &[ErrorKind::Unsupported, ErrorKind::Policy],
            Schemes::Any => &[
                ErrorKind::Unsupported,
                ErrorKind::Policy,
                ErrorKind::NotFound,
            ],
        };
        for foreign in [
            "lockstep-conformance://nowhere/content",
            "lockstep-conformance:content",
        ] {
            let url = Url::parse(foreign).expect("these are URLs");
            probe
                .refusal(&Request::new(url), "a scheme that nobody serves", kinds)
                .await?;
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

/// Rule 11: credentials in a URL.
///
/// # Errors
///
/// How the rule is broken.
pub async fn user_information(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::UserInformation);
    let check = async {
        let bytes = content("user", 1000);
        let plain = probe.publish("content", &bytes).await;
        for (user, password) in [("somebody", None), ("", Some(SECRET)), ("me", Some(SECRET))] {
            let Some(url) = with_user(&plain, user, password) else {
                return Ok(unchecked(
                    "URLs of this scheme cannot carry user information",
                ));
            };
            let note = "with user information before the host";
            probe
                .refusal(&Request::new(url), note, &[ErrorKind::Policy])
                .await?;
        }
        probe
            .read(&Request::new(plain), "without", &bytes, &[0])
            .await?;
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}

fn with_user(url: &Url, user: &str, password: Option<&str>) -> Option<Url> {
    let mut url = url.clone();
    url.set_username(user).ok()?;
    url.set_password(password).ok()?;
    Some(url)
}

/// Rule 12: what errors must not tell.
///
/// # Errors
///
/// How the rule is broken.
pub async fn secrets(fixture: &dyn Fixture) -> Verdict {
    let probe = &Probe::new(fixture, Rule::Secrets);
    let check = async {
        let mut missing = probe.publish("content", &content("secret", 1000)).await;
        probe.remove("content").await;
        let user = with_user(&missing, "me", Some(SECRET));
        missing.query_pairs_mut().append_pair("token", SECRET);
        let asked = [
            (user, "with a password before the host"),
            (Some(missing), "with `?token=…`, and it was removed"),
        ];
        for (url, note) in asked {
            let Some(url) = url else {
                continue; // URLs of this scheme cannot carry it
            };
            let error = match probe.open(&Request::new(url), note).await {
                Ok(response) => return probe.broken("an error", served(&response)),
                Err(error) => error,
            };
            for (form, text) in [
                ("text with its causes", format!("{error:#}")),
                ("`Debug` form", format!("{error:?}")),
            ] {
                if text.contains(SECRET) {
                    let expected = format!("an error that does not show {SECRET:?}");
                    let got = format!("{}, whose {form} shows it: {text}", refused(&error));
                    return probe.broken(expected, got);
                }
            }
        }
        Ok(Outcome::Kept)
    };
    probe.judge(check).await
}
