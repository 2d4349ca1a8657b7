//! The directory: which entries an archive has, and where (APPNOTE 4.3.12).

use std::collections::{HashMap, HashSet};

use manifest_core::{MANIFEST_FILE_NAME, ReleasePath};

use super::end::End;
use super::fields::{Fields, IN_ZIP64, IN_ZIP64_SHORT, check_name, refused, zip64_extra};
use super::limits::ZipLimits;
use crate::{Error, ErrorKind};

const SIGNATURE: u32 = u32::from_le_bytes(*b"PK\x01\x02");
/// A header in the directory without its name and extra fields.
const HEADER: u64 = 46;
/// The header in front of an entry's bytes, likewise.
pub(super) const LOCAL_HEADER: u64 = 30;
/// A name in a message is cut here.
const SHOWN: usize = 100;

pub(super) const ENCRYPTED: u16 = 1;
const PATCH: u16 = 1 << 5;
const STRONGLY_ENCRYPTED: u16 = 1 << 6;
const MASKED: u16 = 1 << 13;

/// How an entry's bytes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
}

impl Method {
    pub(super) fn number(self) -> u16 {
        match self {
            Self::Stored => 0,
            Self::Deflated => 8,
        }
    }
}

/// One file, as the directory describes it.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where its local header is.
    pub(super) offset: u64,
    /// Where the next thing begins: all that belongs to it lies before.
    pub(super) end: u64,
    pub(super) compressed: u64,
    pub(super) size: u64,
    pub(super) crc: u32,
    pub(super) method: Method,
}

/// The files by name.
pub(super) type Entries = HashMap<Box<str>, Entry>;

/// Reads the directory and checks all of it. Folders have no bytes and are left out.
pub(super) fn read(bytes: &[u8], end: &End, limits: &ZipLimits) -> Result<Entries, Error> {
    let mut fields = Fields::new(bytes);
    let mut files = Entries::new();
    let mut extents = Vec::new();
    let (mut names, mut total) = (HashSet::new(), 0_u64);
    for _ in 0..end.entries {
        let header = Header::read(&mut fields).ok_or_else(|| {
            refused("the ZIP's directory is damaged: it ends in the middle of an entry")
        })?;
        if header.signature != SIGNATURE {
            return Err(refused(
                "the ZIP's directory is damaged: an entry does not begin where the one before it ends",
            ));
        }
        let at_entry = |why: &str| refused(format!("the ZIP's entry {} {why}", shown(header.name)));
        let header = header.widened().map_err(at_entry)?;
        let file = header.file().map_err(|why| at_entry(&why))?;
        let name = file.as_ref().map(|(name, _)| *name);
        if let Some((name, entry)) = file {
            if !names.insert(key(name).map_err(|why| at_entry(&why))?) {
                return Err(at_entry(
                    "is there twice; names that differ only in case or Unicode form count as one",
                ));
            }
            total = total.saturating_add(entry.size);
            files.insert(name.into(), entry);
        }
        // The local header has the same name, and may have extra fields beside it.
        let least = LOCAL_HEADER + header.name.len() as u64;
        let stop = least.checked_add(header.compressed);
        let stop = stop.and_then(|length| header.offset.checked_add(length));
        let Some(stop) = stop.filter(|&stop| stop <= end.directory.start) else {
            return Err(at_entry("reaches beyond the archive's contents"));
        };
        extents.push((header.offset, stop, name));
    }
    if !fields.is_empty() {
        return Err(refused(format!(
            "the ZIP's directory holds more than the {} entries that its end record states",
            end.entries
        )));
    }
    if total > limits.max_total_size {
        let text = format!(
            "the ZIP's entries have more than the {} bytes allowed in all",
            limits.max_total_size
        );
        return Err(Error::new(ErrorKind::Limit, text));
    }
    if let Some(name) = names.iter().find(|name| is_below_a_file(name, &names)) {
        let name = shown(name.as_bytes());
        return Err(refused(format!(
            "the ZIP's entry {name} lies below another one, which is a file"
        )));
    }
    bound(extents, end.directory.start, &mut files)?;
    Ok(files)
}

fn is_below_a_file(name: &str, files: &HashSet<Box<str>>) -> bool {
    let mut slashes = name.match_indices('/');
    slashes.any(|(at, _)| files.contains(&name[..at]))
}

/// Whether so large a directory is read at all.
pub(super) fn admit(end: &End, limits: &ZipLimits) -> Result<(), Error> {
    let bytes = end.directory.end - end.directory.start;
    let refuse = |text: String| Err(Error::new(ErrorKind::Limit, text));
    if bytes > limits.max_directory_bytes {
        return refuse(format!(
            "the ZIP's directory has {bytes} bytes, more than the {} allowed",
            limits.max_directory_bytes
        ));
    }
    if end.entries > limits.max_entries {
        return refuse(format!(
            "the ZIP has {} entries, more than the {} allowed",
            end.entries, limits.max_entries
        ));
    }
    if end.entries.saturating_mul(HEADER) > bytes {
        return Err(refused(format!(
            "the ZIP's end record states {} entries, which a directory of {bytes} bytes cannot hold",
            end.entries
        )));
    }
    Ok(())
}

/// Gives each file its end, and refuses entries that share bytes: one kernel of compressed bytes that many entries quote is
/// how a small archive becomes an endless one (D. Fifield, "A better zip bomb", 2019).
fn bound(
    mut extents: Vec<(u64, u64, Option<&str>)>,
    contents: u64,
    files: &mut Entries,
) -> Result<(), Error> {
    extents.sort_unstable();
    let front = extents.first().map_or(contents, |(offset, _, _)| *offset);
    if front > 0 {
        return Err(refused(format!(
            "the ZIP begins with {front} bytes that belong to no entry of its directory"
        )));
    }
    for (index, (_, stop, name)) in extents.iter().enumerate() {
        let next = extents.get(index + 1);
        let end = next.map_or(contents, |(offset, _, _)| *offset);
        if *stop > end {
            let name = next.and_then(|(_, _, next)| *next).or(*name).unwrap_or("/");
            return Err(refused(format!(
                "the ZIP's entry {} begins within another one",
                shown(name.as_bytes())
            )));
        }
        if let Some(file) = name.and_then(|name| files.get_mut(name)) {
            file.end = end;
        }
    }
    Ok(())
}

/// A header of the directory as it stands there; the sizes and the offset are widened later.
#[derive(Clone, Copy, Debug)]
struct Header<'a> {
    signature: u32,
    flags: u16,
    method: u16,
    crc: u32,
    compressed: u64,
    size: u64,
    name: &'a [u8],
    extra: &'a [u8],
    disk: u16,
    mode: u32,
    offset: u64,
}

impl<'a> Header<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        let signature = fields.u32()?;
        let _versions = fields.u32()?;
        let (flags, method) = (fields.u16()?, fields.u16()?);
        let _time = fields.u32()?;
        let crc = fields.u32()?;
        let (compressed, size) = (fields.u32()?.into(), fields.u32()?.into());
        let lengths = [fields.u16()?, fields.u16()?, fields.u16()?].map(usize::from);
        let disk = fields.u16()?;
        let _internal = fields.u16()?;
        let mode = fields.u32()? >> 16;
        let offset = fields.u32()?.into();
        let (name, extra) = (fields.bytes(lengths[0])?, fields.bytes(lengths[1])?);
        let _comment = fields.bytes(lengths[2])?;
        Some(Self {
            signature,
            flags,
            method,
            crc,
            compressed,
            size,
            name,
            extra,
            disk,
            mode,
            offset,
        })
    }

    /// With the values that stand in the ZIP64 field: those whose own field refers to it, in this order, and nothing else.
    fn widened(mut self) -> Result<Self, &'static str> {
        let extra = zip64_extra(self.extra)?;
        let wanted = |value: &u64| *value == u64::from(IN_ZIP64);
        let is_wide = [self.size, self.compressed, self.offset].iter().any(wanted)
            || self.disk == IN_ZIP64_SHORT;
        if is_wide {
            let mut extra = extra.ok_or("refers to a ZIP64 field that is not there")?;
            for value in [&mut self.size, &mut self.compressed, &mut self.offset] {
                if wanted(value) {
                    *value = extra.u64().ok_or("has a ZIP64 field that is cut short")?;
                }
            }
            let disk = match self.disk {
                IN_ZIP64_SHORT => extra.u32().ok_or("has a ZIP64 field that is cut short")?,
                disk => disk.into(),
            };
            if !extra.is_empty() {
                return Err("has a ZIP64 field with values that nothing refers to");
            }
            self.disk = u16::try_from(disk).unwrap_or(IN_ZIP64_SHORT);
        }
        if self.disk != 0 {
            return Err("is in another part of the archive; only whole archives are read");
        }
        Ok(self)
    }

    /// The file that it describes; `None` for a folder.
    fn file(&self) -> Result<Option<(&'a str, Entry)>, String> {
        const KIND: u32 = 0o170_000;
        const REGULAR: u32 = 0o100_000;
        const LINK: u32 = 0o120_000;
        const FOLDER: u32 = 0o040_000;
        let name = std::str::from_utf8(self.name).map_err(|_| "has a name that is not UTF-8")?;
        check_name(self.extra, self.name)?;
        let kind = self.mode & KIND;
        if kind == LINK {
            return Err("is a symbolic link; a release has files only".into());
        }
        if let Some(folder) = name.strip_suffix('/') {
            safe(folder)?;
            if self.size > 0 {
                return Err("is a folder and has bytes".into());
            }
            return Ok(None);
        }
        match kind {
            0 | REGULAR => {}
            FOLDER => return Err("is marked as a folder, but named as a file".into()),
            _ => return Err("is neither a file nor a folder".into()),
        }
        if self.flags & (ENCRYPTED | STRONGLY_ENCRYPTED | MASKED) != 0 {
            return Err("is encrypted, which is not read".into());
        }
        if self.flags & PATCH != 0 {
            return Err("holds a patch, which is not read".into());
        }
        let method = self.method()?;
        let entry = Entry {
            offset: self.offset,
            end: self.offset,
            compressed: self.compressed,
            size: self.size,
            crc: self.crc,
            method,
        };
        Ok(Some((name, entry)))
    }

    fn method(&self) -> Result<Method, String> {
        /// No bits of deflate yield more: 258 bytes for two bits (RFC 1951, section 3.2.5).
        const MOST_PER_BYTE: u64 = 1032;
        match self.method {
            0 if self.size != self.compressed => Err(format!(
                "is stored as it is, but has two sizes, {} and {}",
                self.size, self.compressed
            )),
            0 => Ok(Method::Stored),
            8 if self.size > self.compressed.saturating_mul(MOST_PER_BYTE) => Err(format!(
                "states {} bytes, more than its {} compressed ones can yield",
                self.size, self.compressed
            )),
            8 => Ok(Method::Deflated),
            other => Err(format!(
                "is compressed by {}; only stored and deflated entries are read",
                method_name(other)
            )),
        }
    }
}

/// What two names must not share; see [`ReleasePath::collision_key`].
fn key(name: &str) -> Result<Box<str>, String> {
    if name == MANIFEST_FILE_NAME {
        return Ok(name.into());
    }
    Ok(safe(name)?.collision_key().into())
}

fn safe(name: &str) -> Result<ReleasePath, String> {
    name.parse()
        .map_err(|error| format!("has a name that is not safe: {error}"))
}

/// APPNOTE 4.4.5.
fn method_name(method: u16) -> String {
    let name = match method {
        1 => "Shrink",
        2..=5 => "Reduce",
        6 => "Implode",
        9 => "Deflate64",
        12 => "bzip2",
        14 => "LZMA",
        20 | 93 => "Zstandard",
        94 => "MP3",
        95 => "XZ",
        97 => "WavPack",
        98 => "PPMd",
        99 => return "AES encryption".into(),
        _ => return format!("method {method}"),
    };
    format!("{name} (method {method})")
}

/// A name for a message: quoted, and not too long.
pub(super) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let short: String = text.chars().take(SHOWN).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{more}")
}
