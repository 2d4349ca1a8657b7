//! Who we are to the hosts of models.

use std::fmt;

/// The variables that a token of Hugging Face is taken from, the first that is set.
const HUGGING_FACE: [&str; 2] = ["HF_TOKEN", "HF_API_TOKEN"];
/// The variables that a token of Civitai is taken from, the first that is set.
const CIVITAI: [&str; 2] = ["CIVITAI_TOKEN", "CIVITAI_API_TOKEN"];

/// The tokens for the hosts of models.
///
/// Each is sent to one origin alone, that of its service in [`Endpoints`](crate::Endpoints): not to a subdomain, not to another port, and
/// not to where a redirect leads; the content networks that these services redirect to get a signed URL and no token. Over plain `http:`
/// none is sent but to this machine itself. `Debug` tells which there are, and nothing of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    hugging_face: Option<String>,
    civitai: Option<String>,
}

impl Tokens {
    /// No tokens.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The tokens that these variables name: `HF_TOKEN`, else `HF_API_TOKEN`; `CIVITAI_TOKEN`, else `CIVITAI_API_TOKEN`. Blank ones, and
    /// ones that could stand in no header, count as not set.
    ///
    /// ```
    /// use version_spec::Tokens;
    ///
    /// let tokens = Tokens::from_lookup(|name| std::env::var(name).ok());
    /// # let _ = tokens;
    /// ```
    #[must_use]
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&str; 2]| {
            names
                .into_iter()
                .find_map(|name| usable(name, &lookup(name)?))
        };
        Self {
            hugging_face: first(HUGGING_FACE),
            civitai: first(CIVITAI),
        }
    }

    /// The configuration of an HTTP client that fetches models: the tokens for their own origins, and redirects to any host, since the
    /// services keep their files with others.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn configure(
        &self,
        config: downloader::HttpConfig,
        endpoints: &crate::Endpoints,
    ) -> downloader::HttpConfig {
        let services = [
            (endpoints.hugging_face(), &self.hugging_face),
            (endpoints.civitai(), &self.civitai),
        ];
        let config = config.with_redirects(downloader::RedirectPolicy::AnyHost);
        services
            .into_iter()
            .fold(config, |config, (base, token)| match token {
                Some(token) if may_have_tokens(base) => config.with_bearer(base, token.as_str()),
                _ => config,
            })
    }

    pub(super) fn hugging_face(&self) -> Option<&str> {
        self.hugging_face.as_deref()
    }

    pub(super) fn civitai(&self) -> Option<&str> {
        self.civitai.as_deref()
    }
}

/// Whether nobody on the way can read what is sent there.
#[cfg(feature = "http")]
fn may_have_tokens(base: &url::Url) -> bool {
    let is_here = match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    base.scheme() == "https" || is_here
}

fn usable(name: &str, value: &str) -> Option<String> {
    let token = value.trim();
    if token.is_empty() {
        return None;
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        tracing::warn!(name, "the variable holds no token, and is not used");
        return None;
    }
    Some(token.to_owned())
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |token: &Option<String>| if token.is_some() { "set" } else { "not set" };
        formatter
            .debug_struct("Tokens")
            .field(
                "hugging_face",
                &format_args!("{}", shown(&self.hugging_face)),
            )
            .field("civitai", &format_args!("{}", shown(&self.civitai)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(set: &[(&str, &str)]) -> Tokens {
        Tokens::from_lookup(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_first_variable_with_something_in_it() {
        let tokens = from(&[
            ("HF_TOKEN", " "),
            ("HF_API_TOKEN", " b\n"),
            ("CIVITAI_TOKEN", "c"),
            ("CIVITAI_API_TOKEN", "d"),
        ]);
        assert_eq!(
            (tokens.hugging_face(), tokens.civitai()),
            (Some("b"), Some("c"))
        );
        assert_eq!(from(&[("HF_TOKEN", "a b"), ("HF", "x")]), Tokens::none());
    }

    #[test]
    fn none_is_shown() {
        let shown = format!("{:?}", from(&[("HF_TOKEN", "s3cret")]));
        assert_eq!(shown, "Tokens { hugging_face: set, civitai: not set }");
    }
}
