use std::io::{self, Write};
use std::sync::Arc;

use crate::document::{Dependencies, FlashGpuConfig, Frontend, Head, Signature};
use crate::error::pointer_of;
use crate::hash::NOT_HASHED;
use crate::path::MANIFEST_FILE_NAME;
use crate::{
    DeletePolicy, Error, ErrorKind, FileEntry, IgnoreGlobs, Limits, ReleaseVersion, Sha256Digest,
    Sha256Hasher, ToolId, canonical, collisions, parse, rules,
};
use serde_json::{Map, Value};

/// A release, completely and validly described.
///
/// There are two ways to one: [`Manifest::parse`] for bytes that came from somewhere, and
/// [`ManifestBuilder`](crate::ManifestBuilder) for a new release. Both check everything, so a
/// value of this type is always valid: every path is safe on every platform, no two collide, and
/// the hash is right. Fields that this version does not know are kept, written again, and covered
/// by the hash.
///
/// Cloning is cheap.
///
/// ```
/// use manifest_core::{ErrorKind, Limits, Manifest};
///
/// # let manifest = manifest_core::ManifestBuilder::new("sketcher".parse()?, "1.2.0".parse()?)
/// #     .with_file("main.py".parse()?, manifest_core::Sha256Digest::of(b"print()"), 7, true)
/// #     .build()?;
/// # let received = String::from_utf8(manifest.to_bytes()).unwrap();
/// let manifest = Manifest::parse(received.as_bytes(), &Limits::default())?;
/// for file in manifest.files() {
///     println!("{}  {}  {} bytes", file.sha256(), file.path(), file.size());
/// }
///
/// let forged = received.replace("\"size\": 7", "\"size\": 8");
/// let error = Manifest::parse(forged.as_bytes(), &Limits::default()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Hash);
/// # Ok::<(), manifest_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Manifest(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Everything but `files`, as received.
    document: Map<String, Value>,
    head: Head,
    tool_id: ToolId,
    tool_version: ReleaseVersion,
    ignore_globs: IgnoreGlobs,
    /// By path.
    files: Vec<FileEntry>,
    /// The positions in `files` in the order received, where that is another one.
    received_order: Option<Vec<usize>>,
    /// The old generator's entry for the previous `manifest.json`, with its position.
    own_manifest: Option<(usize, FileEntry)>,
    total_size: u64,
    warnings: Vec<String>,
}

/// What to do with the `manifest_hash` of a document.
pub(crate) enum HashField {
    Verify,
    Compute,
}

impl Manifest {
    /// Reads a manifest, checking all of it: the bounds, the JSON (no duplicate keys), every
    /// field, every path and their collisions, and the hash.
    ///
    /// # Errors
    /// The first problem found, with its place as a JSON pointer; see [`ErrorKind`]. With the
    /// feature `schema`, `problems` lists all of them.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let parsed = parse::parse(bytes, limits)?;
        let entries = parsed
            .entries
            .ok_or_else(|| Error::new(ErrorKind::Manifest, "the manifest has no \"files\""))?;
        Self::assemble(parsed.document, entries, limits, &HashField::Verify)
    }

    pub(crate) fn assemble(
        mut document: Map<String, Value>,
        entries: Vec<FileEntry>,
        limits: &Limits,
        hash_field: &HashField,
    ) -> Result<Self, Error> {
        if matches!(hash_field, HashField::Compute) {
            let placeholder = Sha256Digest::from_bytes([0; 32]).to_string();
            document.insert("manifest_hash".into(), placeholder.into());
        }
        let head = read_head(&document)?;
        let tool_id = head
            .tool_id
            .parse()
            .map_err(|error: Error| error.at("/tool_id"))?;
        let tool_version = head
            .tool_version
            .parse()
            .map_err(|error: Error| error.at("/tool_version"))?;
        let ignore_globs = IgnoreGlobs::within(head.ignore_globs.clone(), limits)?;
        let listed_size = check_entries(&entries, limits)?;

        let mut warnings = Vec::new();
        let (files, received_order, own_manifest) = arrange(entries)?;
        let paths: Vec<&str> = files.iter().map(|file| file.path().as_str()).collect();
        if let Some((sorted, error)) = collisions::find(&paths).into_iter().next() {
            let order = received_order.as_ref();
            let received = order.and_then(|order| order.iter().position(|&at| at == sorted));
            let mut index = received.unwrap_or(sorted);
            index += usize::from(own_manifest.as_ref().is_some_and(|&(own, _)| own <= index));
            return Err(error.at(format!("/files/{index}/path")));
        }
        let own_size = own_manifest.as_ref().map_or(0, |(_, entry)| entry.size());
        let total_size = listed_size - own_size;
        if own_manifest.is_some() {
            warnings.push(format!(
                "the entry {MANIFEST_FILE_NAME:?} is skipped: a manifest cannot list itself (the old generator did)"
            ));
        }
        for file in &files {
            if ignore_globs.is_match(file.path().as_str()) {
                warnings.push(format!(
                    "{:?} is listed although an ignore glob matches it",
                    file.path()
                ));
            }
        }

        let mut inner = Inner {
            document,
            head,
            tool_id,
            tool_version,
            ignore_globs,
            files,
            received_order,
            own_manifest,
            total_size,
            warnings,
        };
        let computed = inner.compute_hash();
        match hash_field {
            HashField::Verify if computed != inner.head.manifest_hash => {
                return Err(hash_mismatch(inner.head.manifest_hash, computed));
            }
            HashField::Verify => {}
            HashField::Compute => {
                inner.head.manifest_hash = computed;
                inner
                    .document
                    .insert("manifest_hash".into(), computed.to_string().into());
            }
        }
        Ok(Self(Arc::new(inner)))
    }

    /// The manifest as JSON, for a `manifest.json`: indented, with a newline at the end. Parsing
    /// it gives an equal manifest with the same hash.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        #[derive(serde::Serialize)]
        struct Document<'a> {
            #[serde(flatten)]
            head: &'a Map<String, Value>,
            files: Vec<crate::document::FileRecord<'a>>,
        }
        let files = self
            .0
            .wire_entries()
            .into_iter()
            .map(FileEntry::record)
            .collect();
        let document = Document {
            head: &self.0.document,
            files,
        };
        let mut bytes = serde_json::to_vec_pretty(&document)
            .expect("JSON values with text keys always serialise");
        bytes.push(b'\n');
        bytes
    }

    /// The tool that this is a release of.
    #[must_use]
    pub fn tool_id(&self) -> &ToolId {
        &self.0.tool_id
    }

    /// The version of the release.
    #[must_use]
    pub fn tool_version(&self) -> &ReleaseVersion {
        &self.0.tool_version
    }

    /// SHA-256 over the canonical form without `manifest_hash`, `created_at` and `signature`: the
    /// identity of the release.
    #[must_use]
    pub fn manifest_hash(&self) -> Sha256Digest {
        self.0.head.manifest_hash
    }

    /// The files, ordered by path. A root-level `manifest.json` that an old generator listed is
    /// not among them.
    #[must_use]
    pub fn files(&self) -> &[FileEntry] {
        &self.0.files
    }

    /// The entry with this path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        let files = self.files();
        let index = files
            .binary_search_by(|file| file.path().as_str().cmp(path))
            .ok()?;
        Some(&files[index])
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn total_size(&self) -> u64 {
        self.0.total_size
    }

    /// Which files an update may delete.
    #[must_use]
    pub fn delete_policy(&self) -> DeletePolicy {
        self.0.head.delete_policy
    }

    /// What an update never deletes.
    #[must_use]
    pub fn ignore_globs(&self) -> &IgnoreGlobs {
        &self.0.ignore_globs
    }

    /// When it was made, in RFC 3339. Not covered by the hash.
    #[must_use]
    pub fn created_at(&self) -> Option<&str> {
        self.0.head.created_at.as_deref()
    }

    /// The least versions of what the tool needs.
    #[must_use]
    pub fn dependencies(&self) -> Option<&Dependencies> {
        self.0.head.dependencies.as_ref()
    }

    /// How to warm up a GPU for the tool.
    #[must_use]
    pub fn flash_gpu_config(&self) -> Option<&FlashGpuConfig> {
        self.0.head.flash_gpu_config.as_ref()
    }

    /// The tool's front end.
    #[must_use]
    pub fn frontend(&self) -> Option<&Frontend> {
        self.0.head.frontend.as_ref()
    }

    /// The contract of the tool's interface, e.g. `runtime/1`.
    #[must_use]
    pub fn api_contract(&self) -> Option<&str> {
        self.0.head.api_contract.as_deref()
    }

    /// What the tool says that it can do.
    #[must_use]
    pub fn capabilities(&self) -> &[String] {
        self.0.head.capabilities.as_deref().unwrap_or_default()
    }

    /// The signature, unverified.
    #[must_use]
    pub fn signature(&self) -> Option<&Signature> {
        self.0.head.signature.as_ref()
    }

    /// Every field but `files`.
    pub(crate) fn document(&self) -> &Map<String, Value> {
        &self.0.document
    }

    /// What was tolerated, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }
}

impl PartialEq for Manifest {
    /// Equal hash, which covers everything but the date and the signature.
    fn eq(&self, other: &Self) -> bool {
        self.manifest_hash() == other.manifest_hash()
    }
}

impl Eq for Manifest {}

impl Inner {
    fn wire_entries(&self) -> Vec<&FileEntry> {
        let mut entries: Vec<_> = match &self.received_order {
            Some(order) => order.iter().map(|&index| &self.files[index]).collect(),
            None => self.files.iter().collect(),
        };
        if let Some((position, entry)) = &self.own_manifest {
            entries.insert(*position, entry);
        }
        entries
    }

    fn compute_hash(&self) -> Sha256Digest {
        /// Digests are fastest in blocks; canonical JSON comes in tokens.
        struct HashWriter(Sha256Hasher);
        impl Write for HashWriter {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.update(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        enum Member<'a> {
            Field(&'a Value),
            Files,
        }
        let fields = self
            .document
            .iter()
            .filter(|(key, _)| !NOT_HASHED.contains(&key.as_str()));
        let fields = fields.map(|(key, value)| (key.as_str(), Member::Field(value)));
        let members = fields.chain([("files", Member::Files)]);
        let mut writer = io::BufWriter::with_capacity(64 * 1024, HashWriter(Sha256Hasher::new()));
        canonical::write_object(members, &mut writer, |member, writer| match member {
            Member::Field(value) => canonical::write_value(value, writer),
            Member::Files => {
                writer.write_all(b"[")?;
                for (index, entry) in self.wire_entries().into_iter().enumerate() {
                    if index > 0 {
                        writer.write_all(b",")?;
                    }
                    entry.write_canonical(writer)?;
                }
                writer.write_all(b"]")
            }
        })
        .expect("a parsed document has only finite numbers, and hashing does no I/O");
        let Ok(HashWriter(hasher)) = writer.into_inner() else {
            unreachable!("hashing does no I/O")
        };
        hasher.finalize()
    }
}

pub(crate) fn hash_mismatch(stated: Sha256Digest, computed: Sha256Digest) -> Error {
    let text = format!(
        "the manifest says that its hash is {stated}, but its content hashes to {computed}: \
         it was changed after it was hashed"
    );
    Error::new(ErrorKind::Hash, text).at("/manifest_hash")
}

fn read_head(document: &Map<String, Value>) -> Result<Head, Error> {
    if let Some(error) = rules::check_head(document).next() {
        return Err(error);
    }
    serde_path_to_error::deserialize(document).map_err(
        |error: serde_path_to_error::Error<serde_json::Error>| {
            let pointer = pointer_of(error.path());
            Error::new(ErrorKind::Manifest, error.into_inner().to_string()).at(pointer)
        },
    )
}

/// Checks what concerns one entry alone. Returns the sum of the sizes.
fn check_entries(entries: &[FileEntry], limits: &Limits) -> Result<u64, Error> {
    let mut total: u64 = 0;
    for (index, entry) in entries.iter().enumerate() {
        rules::entry_url(entry.url()).map_err(|error| error.at(format!("/files/{index}/url")))?;
        rules::entry_scope(entry.path())
            .map_err(|error| error.at(format!("/files/{index}/path")))?;
        rules::exact_size(entry.size())
            .map_err(|error| error.at(format!("/files/{index}/size")))?;
        total = total
            .checked_add(entry.size())
            .filter(|&total| total <= limits.max_total_size)
            .ok_or_else(|| {
                let text = format!(
                    "the files have more than the {} bytes allowed together",
                    limits.max_total_size
                );
                Error::new(ErrorKind::Limit, text).at(format!("/files/{index}/size"))
            })?;
    }
    Ok(total)
}

type Arranged = (
    Vec<FileEntry>,
    Option<Vec<usize>>,
    Option<(usize, FileEntry)>,
);

/// Sorts by path, remembering the order received, and takes out the old generator's own entry.
fn arrange(mut entries: Vec<FileEntry>) -> Result<Arranged, Error> {
    let is_own = |entry: &FileEntry| entry.path().as_str() == MANIFEST_FILE_NAME;
    let own_manifest = entries
        .iter()
        .position(is_own)
        .map(|position| (position, entries.remove(position)));
    if entries.iter().any(is_own) {
        return Err(Error::new(
            ErrorKind::Manifest,
            format!("path {MANIFEST_FILE_NAME:?} is listed twice"),
        )
        .at("/files"));
    }
    if entries.is_sorted_by(|one, other| one.path() < other.path()) {
        return Ok((entries, None, own_manifest));
    }
    let mut by_path: Vec<usize> = (0..entries.len()).collect();
    by_path.sort_by(|&one, &other| entries[one].path().cmp(entries[other].path()));
    let mut received_order = vec![0; entries.len()];
    for (sorted, &received) in by_path.iter().enumerate() {
        received_order[received] = sorted;
    }
    entries.sort_by(|one, other| one.path().cmp(other.path()));
    Ok((entries, Some(received_order), own_manifest))
}
