//! Where the services are that models come from.

use url::Url;

/// The bases of the services that models come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    hugging_face: Url,
    civitai: Url,
    /// `None`: each bucket is a host of its own.
    s3: Option<Url>,
    gs: Url,
}

impl Default for Endpoints {
    fn default() -> Self {
        let base = |text| Url::parse(text).expect("it is a URL, as a test shows");
        Self {
            hugging_face: base("https://huggingface.co/"),
            civitai: base("https://civitai.com/"),
            s3: None,
            gs: base("https://storage.googleapis.com/"),
        }
    }
}

impl Endpoints {
    /// The public services.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another Hugging Face, as `HF_ENDPOINT` names one. It gets the token of Hugging Face.
    #[must_use]
    pub fn with_hugging_face(mut self, base: &Url) -> Self {
        self.hugging_face = folder(base);
        self
    }

    /// Another Civitai. It gets the token of Civitai.
    #[must_use]
    pub fn with_civitai(mut self, base: &Url) -> Self {
        self.civitai = folder(base);
        self
    }

    /// Another store that speaks as S3 does; buckets are the first part of the path.
    #[must_use]
    pub fn with_s3(mut self, base: &Url) -> Self {
        self.s3 = Some(folder(base));
        self
    }

    /// Another Google Cloud Storage.
    #[must_use]
    pub fn with_gs(mut self, base: &Url) -> Self {
        self.gs = folder(base);
        self
    }

    pub(super) fn hugging_face(&self) -> &Url {
        &self.hugging_face
    }

    pub(super) fn civitai(&self) -> &Url {
        &self.civitai
    }

    pub(super) fn gs(&self) -> &Url {
        &self.gs
    }

    /// The base of a bucket's URLs.
    pub(super) fn s3(&self, bucket: &str) -> Url {
        let base = match &self.s3 {
            Some(base) => base.clone(),
            // Certificates are for one name before the host: no dots, and hosts have no capitals and underscores.
            None if bucket
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') =>
            {
                return Url::parse(&format!("https://{bucket}.s3.amazonaws.com/"))
                    .expect("letters, digits and hyphens make a host");
            }
            None => Url::parse("https://s3.amazonaws.com/").expect("it is a URL, as a test shows"),
        };
        with_segments(&base, [bucket])
            .map(|url| folder(&url))
            .unwrap_or(base)
    }
}

/// The base with a `/` at its end and nothing behind.
fn folder(base: &Url) -> Url {
    let mut base = base.clone();
    base.set_query(None);
    base.set_fragment(None);
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    base
}

/// The URL below `base`, each part percent-encoded where it must be. `None` if the base cannot have a path.
pub(super) fn with_segments<'a>(
    base: &Url,
    parts: impl IntoIterator<Item = &'a str>,
) -> Option<Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(parts);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_hosts_where_certificates_allow_it() {
        let endpoints = Endpoints::new();
        assert_eq!(
            endpoints.s3("my-bucket").as_str(),
            "https://my-bucket.s3.amazonaws.com/"
        );
        assert_eq!(
            endpoints.s3("my.bucket").as_str(),
            "https://s3.amazonaws.com/my.bucket/"
        );
        let own = endpoints.with_s3(&Url::parse("http://127.0.0.1:9000/store?x#y").unwrap());
        assert_eq!(
            own.s3("my-bucket").as_str(),
            "http://127.0.0.1:9000/store/my-bucket/"
        );
    }
}
