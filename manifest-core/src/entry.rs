use std::io::{self, Write};

use serde_json::{Map, Value};

use crate::canonical;
use crate::document::FileRecord;
use crate::{ReleasePath, Sha256Digest};

/// One file of a release.
///
/// ```
/// use manifest_core::{FileEntry, Sha256Digest};
///
/// let digest = Sha256Digest::of(b"print()");
/// let entry = FileEntry::new("main.py".parse()?, digest, 7, "https://hq.example/main.py").with_executable(true);
/// assert_eq!(entry.path().as_str(), "main.py");
/// # Ok::<(), manifest_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FileEntry {
    pub(crate) path: ReleasePath,
    pub(crate) sha256: Sha256Digest,
    pub(crate) size: u64,
    pub(crate) url: Box<str>,
    /// As received: absent and `false` hash differently.
    pub(crate) executable: Option<bool>,
    pub(crate) unknown: Option<Box<Map<String, Value>>>,
}

impl FileEntry {
    /// An entry without unknown fields. `url` is not checked here but when a manifest is built.
    #[must_use]
    pub fn new(
        path: ReleasePath,
        sha256: Sha256Digest,
        size: u64,
        url: impl Into<Box<str>>,
    ) -> Self {
        Self {
            path,
            sha256,
            size,
            url: url.into(),
            executable: None,
            unknown: None,
        }
    }

    /// Marks the file as a program.
    #[must_use]
    pub fn with_executable(mut self, executable: bool) -> Self {
        self.executable = executable.then_some(true);
        self
    }

    /// Where the file lies in the release.
    #[must_use]
    pub fn path(&self) -> &ReleasePath {
        &self.path
    }

    /// What the file holds.
    #[must_use]
    pub fn sha256(&self) -> Sha256Digest {
        self.sha256
    }

    /// Its length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where the publisher serves it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the file is a program. Absent on the wire means no.
    #[must_use]
    pub fn executable(&self) -> bool {
        self.executable.unwrap_or(false)
    }

    pub(crate) fn record(&self) -> FileRecord<'_> {
        FileRecord {
            path: self.path.as_str(),
            sha256: self.sha256,
            size: self.size,
            url: &self.url,
            executable: self.executable,
            unknown: self.unknown.as_deref(),
        }
    }

    /// The entry in canonical JSON.
    pub(crate) fn write_canonical(&self, writer: &mut impl Write) -> io::Result<()> {
        let known = [
            ("path", Member::Text(self.path.as_str())),
            ("sha256", Member::Digest(self.sha256)),
            ("size", Member::Size(self.size)),
            ("url", Member::Text(&self.url)),
        ];
        let executable = self
            .executable
            .map(|value| ("executable", Member::Bool(value)));
        let unknown = self.unknown.iter().flat_map(|map| map.iter());
        let unknown = unknown.map(|(key, value)| (key.as_str(), Member::Unknown(value)));
        let members = executable.into_iter().chain(known).chain(unknown);
        canonical::write_object(members, writer, |member, writer| match member {
            Member::Bool(value) => write!(writer, "{value}"),
            Member::Text(text) => canonical::write_string(text, writer),
            Member::Digest(digest) => write!(writer, "\"{digest}\""),
            Member::Size(size) => write!(writer, "{size}"),
            Member::Unknown(value) => canonical::write_value(value, writer),
        })
    }
}

enum Member<'a> {
    Bool(bool),
    Text(&'a str),
    Digest(Sha256Digest),
    Size(u64),
    Unknown(&'a Value),
}
