use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use crate::globs::DEFAULT_IGNORE_GLOBS;
use crate::manifest::HashField;
use crate::parse;
use crate::{
    DeletePolicy, Dependencies, Error, ErrorKind, FileEntry, FlashGpuConfig, Frontend, IgnoreGlobs,
    Limits, Manifest, ReleasePath, ReleaseVersion, Sha256Digest, ToolId,
};

/// Where files are served when a publisher says nothing else.
pub const DEFAULT_BASE_URL: &str = "https://hq.bitstation.local/api/v1/tools/";

/// Everything but the unreserved characters of RFC 3986, section 2.3, and the separator.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Where a base serves one file of a release:
/// `{base}/{tool_id}/{version}/files/{path percent-encoded, "/" kept}`.
///
/// The version stands there without a leading `v`. A worker behind another mirror calls this with
/// that mirror's base; the manifest stays as it is.
///
/// # Errors
/// [`ErrorKind::Policy`] if `base` cannot have a path (`mailto:`, `data:`).
///
/// ```
/// use manifest_core::file_url;
///
/// let mirror = "https://mirror.example/tools/".parse().unwrap();
/// let url = file_url(&mirror, &"sketcher".parse()?, &"v1.2.0".parse()?, &"a b/c.txt".parse()?)?;
/// assert_eq!(url.as_str(), "https://mirror.example/tools/sketcher/1.2.0/files/a%20b/c.txt");
/// # Ok::<(), manifest_core::Error>(())
/// ```
pub fn file_url(
    base: &Url,
    tool: &ToolId,
    version: &ReleaseVersion,
    path: &ReleasePath,
) -> Result<Url, Error> {
    let mut url = base.clone();
    if url.cannot_be_a_base() {
        return Err(Error::new(
            ErrorKind::Policy,
            format!("{base} cannot be the base of file URLs"),
        ));
    }
    let encoded = utf8_percent_encode(path.as_str(), ENCODED);
    let folder = base.path().trim_end_matches('/');
    url.set_path(&format!("{folder}/{tool}/{version}/files/{encoded}"));
    Ok(url)
}

/// Makes a [`Manifest`] for a new release.
///
/// ```
/// use manifest_core::{DeletePolicy, ManifestBuilder, Sha256Digest};
///
/// let manifest = ManifestBuilder::new("sketcher".parse()?, "1.2.0".parse()?)
///     .with_base_url("https://mirror.example/tools".parse().unwrap())
///     .with_delete_policy(DeletePolicy::Manual)
///     .with_file("a b.txt".parse()?, Sha256Digest::of(b""), 0, false)
///     .build()?;
/// assert_eq!(manifest.files()[0].url(), "https://mirror.example/tools/sketcher/1.2.0/files/a%20b.txt");
/// # Ok::<(), manifest_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManifestBuilder {
    tool_id: ToolId,
    tool_version: ReleaseVersion,
    base_url: Url,
    files: Vec<NewFile>,
    fields: Map<String, Value>,
    limits: Limits,
}

#[derive(Clone, Debug)]
enum NewFile {
    ServedFromBase {
        path: ReleasePath,
        sha256: Sha256Digest,
        size: u64,
        executable: bool,
    },
    Entry(FileEntry),
}

impl ManifestBuilder {
    /// A release without files, with the defaults of the format: [`DEFAULT_BASE_URL`], delete
    /// policy `safe`, [`DEFAULT_IGNORE_GLOBS`], no date.
    #[must_use]
    pub fn new(tool_id: ToolId, tool_version: ReleaseVersion) -> Self {
        Self {
            tool_id,
            tool_version,
            base_url: Url::parse(DEFAULT_BASE_URL).expect("the default base is a valid URL"),
            files: Vec::new(),
            fields: Map::new(),
            limits: Limits::default(),
        }
    }

    /// Starts from a release that is described already, to describe it otherwise: every field but the
    /// signature, which would be another's, and every file with its URL.
    #[must_use]
    pub fn from_manifest(manifest: &Manifest) -> Self {
        let mut builder = Self::new(manifest.tool_id().clone(), manifest.tool_version().clone());
        builder.fields.clone_from(manifest.document());
        builder.fields.remove("signature");
        builder.fields.remove("manifest_hash");
        builder.files = manifest
            .files()
            .iter()
            .cloned()
            .map(NewFile::Entry)
            .collect();
        builder
    }

    /// Where the files will be served; see [`file_url`].
    #[must_use]
    pub fn with_base_url(mut self, base: Url) -> Self {
        self.base_url = base;
        self
    }

    /// Adds a file that is served below the base. Files may come in any order.
    #[must_use]
    pub fn with_file(
        mut self,
        path: ReleasePath,
        sha256: Sha256Digest,
        size: u64,
        executable: bool,
    ) -> Self {
        self.files.push(NewFile::ServedFromBase {
            path,
            sha256,
            size,
            executable,
        });
        self
    }

    /// Adds an entry with its own URL.
    #[must_use]
    pub fn with_entry(mut self, entry: FileEntry) -> Self {
        self.files.push(NewFile::Entry(entry));
        self
    }

    /// When the release was made, in RFC 3339. Not covered by the hash.
    #[must_use]
    pub fn with_created_at(self, time: impl Into<String>) -> Self {
        self.with_field("created_at", time.into())
    }

    /// Which files an update may delete.
    #[must_use]
    pub fn with_delete_policy(self, policy: DeletePolicy) -> Self {
        self.with_typed("delete_policy", &policy)
    }

    /// What an update never deletes, instead of the default.
    #[must_use]
    pub fn with_ignore_globs(self, globs: &IgnoreGlobs) -> Self {
        self.with_field("ignore_globs", globs.patterns())
    }

    /// The least versions of what the tool needs.
    #[must_use]
    pub fn with_dependencies(self, dependencies: &Dependencies) -> Self {
        self.with_typed("dependencies", dependencies)
    }

    /// How to warm up a GPU for the tool.
    #[must_use]
    pub fn with_flash_gpu_config(self, config: &FlashGpuConfig) -> Self {
        self.with_typed("flash_gpu_config", config)
    }

    /// The tool's front end.
    #[must_use]
    pub fn with_frontend(self, frontend: &Frontend) -> Self {
        self.with_typed("frontend", frontend)
    }

    /// The contract of the tool's interface, e.g. `runtime/1`.
    #[must_use]
    pub fn with_api_contract(self, contract: impl Into<String>) -> Self {
        self.with_field("api_contract", contract.into())
    }

    /// What the tool says that it can do.
    #[must_use]
    pub fn with_capabilities(
        self,
        capabilities: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let capabilities: Vec<String> = capabilities.into_iter().map(Into::into).collect();
        self.with_field("capabilities", capabilities)
    }

    /// A field that this version does not know. It is covered by the hash. `files` is none, and
    /// fields with a method of the builder's own are better set by that.
    #[must_use]
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// The bounds that [`build`](Self::build) checks, instead of the default.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn with_typed(self, name: &str, value: &impl Serialize) -> Self {
        let value =
            serde_json::to_value(value).expect("wire types are made of text, flags and lists");
        self.with_field(name, value)
    }

    /// Checks everything that [`Manifest::parse`] checks, sorts the files by path and computes the
    /// hash: the same files give the same hash on every platform.
    ///
    /// # Errors
    /// As [`Manifest::parse`], and [`ErrorKind::Policy`] for a base that cannot have a path.
    pub fn build(self) -> Result<Manifest, Error> {
        let mut entries = Vec::with_capacity(self.files.len());
        for file in self.files {
            entries.push(match file {
                NewFile::Entry(entry) => entry,
                NewFile::ServedFromBase {
                    path,
                    sha256,
                    size,
                    executable,
                } => {
                    let url = file_url(&self.base_url, &self.tool_id, &self.tool_version, &path)?;
                    FileEntry::new(path, sha256, size, String::from(url))
                        .with_executable(executable)
                }
            });
        }
        check_fields(&self.fields, &self.limits)?;
        if entries.len() > self.limits.max_files {
            let text = format!(
                "{} files are more than the {} allowed",
                entries.len(),
                self.limits.max_files
            );
            return Err(Error::new(ErrorKind::Limit, text));
        }
        entries.sort_by(|one, other| one.path().cmp(other.path()));

        let mut document = self.fields;
        document.insert("manifest_version".into(), "1.0".into());
        document.insert("tool_id".into(), self.tool_id.as_str().into());
        document.insert("tool_version".into(), self.tool_version.as_str().into());
        document
            .entry("delete_policy")
            .or_insert_with(|| "safe".into());
        document
            .entry("ignore_globs")
            .or_insert_with(|| DEFAULT_IGNORE_GLOBS.as_slice().into());
        let manifest = Manifest::assemble(document, entries, &self.limits, &HashField::Compute)?;
        parse::check_length(manifest.to_bytes().len(), &self.limits)?;
        Ok(manifest)
    }
}

/// Fields come as values, which can be what no parser would have let through: too deep, too many,
/// inexact, or a second `files`.
fn check_fields(fields: &Map<String, Value>, limits: &Limits) -> Result<(), Error> {
    if fields.contains_key("files") {
        let text = "files are added one by one, not as a field";
        return Err(Error::new(ErrorKind::Manifest, text).at("/files"));
    }
    let bytes = serde_json::to_vec(fields).expect("JSON values with text keys always serialise");
    parse::parse(&bytes, limits).map(drop)
}
