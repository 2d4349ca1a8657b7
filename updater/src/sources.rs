use activation::Installation;
use manifest_core::{FileEntry, Manifest, file_url};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::error::During as _;
use crate::{Error, ErrorKind, TrustPolicy, TrustedManifest, Updater};

impl Updater {
    /// Fetches and checks a manifest from an `http:`, `https:` or `file:` URL.
    ///
    /// If it comes from a mirror, `{base}/{tool_id}/{version}/manifest.json`, the release's files are asked for there
    /// first, too, unless other mirrors were [given](crate::UpdaterBuilder::with_mirrors).
    ///
    /// # Errors
    /// [`ErrorKind::Manifest`] if it is not valid, `Trust` if the policy does not let it in, `NotFound`, `Network`, `Unauthorized`,
    /// `Policy`, `Cancelled`.
    ///
    /// Somebody waits for a manifest: it is asked for at most three times, within a few seconds, whatever
    /// [`with_retry`](crate::UpdaterBuilder::with_retry) allows for files.
    ///
    /// # Cancel safety
    /// Nothing is changed, so nothing is left behind when the future is dropped.
    pub async fn fetch_manifest(
        &self,
        url: &Url,
        trust: &TrustPolicy,
        cancel: &CancellationToken,
    ) -> Result<TrustedManifest, Error> {
        let limits = &self.settings().limits;
        let fetched = cancel
            .run_until_cancelled(self.fetcher().fetch_small(url, limits.max_bytes))
            .await;
        let bytes = fetched
            .ok_or_else(Error::cancelled)?
            .map_err(downloader::Error::without_url)
            .during(|| format!("cannot fetch the manifest {}", shown(url)))?;
        let manifest = Manifest::parse(&bytes, limits)
            .during(|| format!("the manifest {} is refused", shown(url)))?;
        let mirror = mirror_of(url, &manifest);
        Ok(trust.trust(manifest)?.with_mirror(mirror))
    }

    /// Where a content can be had: every mirror in turn, then the manifest's own URLs; before or behind them the release ZIP.
    pub(crate) fn sources(
        &self,
        manifest: &Manifest,
        targets: &[&FileEntry],
    ) -> Result<Vec<Url>, Error> {
        let named = self.named_sources(manifest, targets)?;
        Ok(self.settings().archive.among(named, targets))
    }

    fn named_sources(
        &self,
        manifest: &Manifest,
        targets: &[&FileEntry],
    ) -> Result<Vec<Url>, Error> {
        let mut sources = Vec::with_capacity(self.settings().mirrors.len() + targets.len());
        if let Some(first) = targets.first() {
            for mirror in &self.settings().mirrors {
                let url = file_url(
                    mirror,
                    manifest.tool_id(),
                    manifest.tool_version(),
                    first.path(),
                );
                sources.push(url.during(|| format!("{} cannot be a mirror", shown(mirror)))?);
            }
        }
        for target in targets {
            let url = Url::parse(target.url()).map_err(|error| {
                Error::new(
                    ErrorKind::Manifest,
                    format!("{:?} is not a URL", target.url()),
                )
                .with_source(error)
            })?;
            if !sources.contains(&url) {
                sources.push(url);
            }
        }
        Ok(sources)
    }

    /// With the mirrors that the active release came from, if none were given.
    pub(crate) fn with_known_mirrors(&self, installation: &Installation) -> Self {
        let known = installation.remembered_mirrors();
        self.or_mirrors(known.iter().filter_map(|mirror| Url::parse(mirror).ok()))
    }

    /// Refuses a manifest with a URL that may not be asked, before anything is fetched or written.
    pub(crate) fn check_hosts(&self, manifest: &Manifest) -> Result<(), Error> {
        let hosts = &self.settings().hosts;
        for mirror in &self.settings().mirrors {
            hosts
                .check(mirror)
                .during(|| format!("the mirror {} is refused", shown(mirror)))?;
        }
        self.settings().archive.check_host(hosts)?;
        if hosts.allows_any() {
            return Ok(()); // the manifest's own URLs were checked when it was parsed
        }
        for file in manifest.files() {
            for url in self.named_sources(manifest, &[file])? {
                hosts
                    .check(&url)
                    .during(|| format!("the source of {:?} is refused", file.path()))?;
            }
        }
        Ok(())
    }
}

/// A URL for messages: user information and the query may hold secrets.
pub(crate) fn shown(url: &Url) -> Url {
    let mut url = url.clone();
    // Fails only where there is no user information.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url
}

/// The base of the mirror that served a manifest: `{base}` in `{base}/{tool_id}/{version}/manifest.json`.
/// It serves the files of the release, too. `None` if the URL is not of this form.
fn mirror_of(manifest_url: &Url, manifest: &Manifest) -> Option<Url> {
    let path = manifest_url.path().strip_suffix("/manifest.json")?;
    let (path, version) = path.rsplit_once('/')?;
    let (base, tool) = path.rsplit_once('/')?;
    let is_ours = tool == manifest.tool_id().as_str()
        && version
            .parse::<manifest_core::ReleaseVersion>()
            .is_ok_and(|version| version == *manifest.tool_version());
    let is_mirror = is_ours && matches!(manifest_url.scheme(), "http" | "https");
    is_mirror.then(|| {
        let mut url = manifest_url.clone();
        url.set_path(&format!("{base}/"));
        url.set_query(None);
        url.set_fragment(None);
        url
    })
}

#[cfg(test)]
mod tests {
    use manifest_core::ManifestBuilder;

    use super::*;

    #[test]
    fn only_a_manifest_url_of_a_mirror_names_a_mirror() {
        let (tool, version) = ("sketcher".parse().unwrap(), "1.0.0".parse().unwrap());
        let manifest = ManifestBuilder::new(tool, version).build().unwrap();
        let of = |text: &str| mirror_of(&text.parse().unwrap(), &manifest).map(String::from);
        for good in [
            "http://m.test/api/v1/tools/sketcher/1.0.0/manifest.json",
            "http://m.test/api/v1/tools/sketcher/v1.0.0/manifest.json?x=1#y",
        ] {
            assert_eq!(of(good).as_deref(), Some("http://m.test/api/v1/tools/"));
        }
        for bad in [
            "http://m.test/tools/sketcher/1.0.1/manifest.json",
            "http://m.test/tools/painter/1.0.0/manifest.json",
            "http://m.test/sketcher/1.0.0/other.json",
            "http://m.test/manifest.json",
            "file:///srv/sketcher/1.0.0/manifest.json",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
