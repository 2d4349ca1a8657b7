use activation::Installation;
use manifest_core::{FileEntry, Manifest, file_url};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::error::During as _;
use crate::{Error, ErrorKind, Updater};

impl Updater {
    /// Fetches and checks a manifest from an `http:`, `https:` or `file:` URL. It is not trusted yet; see
    /// [`TrustPolicy`](crate::TrustPolicy).
    ///
    /// # Errors
    /// [`ErrorKind::Manifest`] if it is not valid, `NotFound`, `Network`, `Policy`, `Cancelled`.
    pub async fn fetch_manifest(
        &self,
        url: &Url,
        cancel: &CancellationToken,
    ) -> Result<Manifest, Error> {
        let limits = &self.settings().limits;
        let fetched = cancel
            .run_until_cancelled(self.fetcher().fetch_small(url, limits.max_bytes))
            .await;
        let bytes = fetched
            .ok_or_else(Error::cancelled)?
            .during(|| format!("cannot fetch the manifest {}", shown(url)))?;
        Manifest::parse(&bytes, limits).during(|| format!("the manifest {} is refused", shown(url)))
    }

    /// Where a content can be had: every mirror in turn, then the manifest's own URLs.
    pub(crate) fn sources(
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
        if !self.settings().mirrors.is_empty() {
            return self.clone();
        }
        let known = installation.remembered_mirrors();
        let known = known.iter().filter_map(|mirror| Url::parse(mirror).ok());
        self.with_mirrors(known.filter(|mirror| self.settings().hosts.check(mirror).is_ok()))
    }

    /// Refuses a manifest with a URL that may not be asked, before anything is fetched or written.
    pub(crate) fn check_hosts(&self, manifest: &Manifest) -> Result<(), Error> {
        let hosts = &self.settings().hosts;
        for mirror in &self.settings().mirrors {
            hosts
                .check(mirror)
                .during(|| format!("the mirror {} is refused", shown(mirror)))?;
        }
        if hosts.allows_any() {
            return Ok(()); // the manifest's own URLs were checked when it was parsed
        }
        for file in manifest.files() {
            for url in self.sources(manifest, &[file])? {
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
#[must_use]
pub fn mirror_of(manifest_url: &Url, manifest: &Manifest) -> Option<Url> {
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
