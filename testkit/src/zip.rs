//! ZIP archives, right and wrong ones (APPNOTE.TXT 6.3.10).

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

const DESCRIPTOR: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;

/// The fields of an entry's header, as they will be written.
#[derive(Clone, Debug)]
pub struct ZipHeader {
    /// General purpose flags.
    pub flags: u16,
    /// 0 stored, 8 deflated.
    pub method: u16,
    /// CRC-32 of the content.
    pub crc: u32,
    /// Bytes in the archive.
    pub compressed: u32,
    /// Bytes of the content.
    pub size: u32,
    /// The name.
    pub name: Vec<u8>,
    /// All extra fields.
    pub extra: Vec<u8>,
    /// In the directory only: on which part of the archive it is.
    pub disk: u16,
    /// In the directory only: type and permissions, as on Unix.
    pub mode: u32,
    /// In the directory only: where the local header is.
    pub offset: u32,
}

type Change = fn(&mut ZipHeader);

/// One entry. The two headers can be changed at will.
#[derive(Clone, Debug)]
pub struct ZipEntry {
    header: ZipHeader,
    packed: Vec<u8>,
    zip64: bool,
    local: Option<Change>,
    central: Option<Change>,
}

impl ZipEntry {
    /// An entry whose bytes are kept as they are.
    #[must_use]
    pub fn stored(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self::packed(name, 0, content.as_ref(), content.as_ref().to_vec())
    }

    /// An entry whose bytes are deflated.
    ///
    /// # Panics
    ///
    /// Never: memory takes all bytes.
    #[must_use]
    pub fn deflated(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        let packed = encoder
            .write_all(content.as_ref())
            .and_then(|()| encoder.finish())
            .expect("memory takes all bytes");
        Self::packed(name, 8, content.as_ref(), packed)
    }

    /// An entry with these bytes in the archive, whatever they are.
    #[must_use]
    pub fn packed(name: impl AsRef<[u8]>, method: u16, content: &[u8], packed: Vec<u8>) -> Self {
        let header = ZipHeader {
            flags: UTF8,
            method,
            crc: crc32fast::hash(content),
            compressed: packed.len() as u32,
            size: content.len() as u32,
            name: name.as_ref().to_vec(),
            extra: Vec::new(),
            disk: 0,
            mode: 0o100_644,
            offset: 0,
        };
        Self {
            header,
            packed,
            zip64: false,
            local: None,
            central: None,
        }
    }

    /// Says sizes and checksum behind the bytes instead of before them, as programs do that cannot go back.
    #[must_use]
    pub fn with_descriptor(mut self) -> Self {
        self.header.flags |= DESCRIPTOR;
        self
    }

    /// Says the sizes, and in the directory the offset, in ZIP64 fields.
    #[must_use]
    pub fn with_zip64(mut self) -> Self {
        self.zip64 = true;
        self
    }

    /// Changes the header in front of the bytes.
    #[must_use]
    pub fn with_local(mut self, change: Change) -> Self {
        self.local = Some(change);
        self
    }

    /// Changes the header in the directory.
    #[must_use]
    pub fn with_central(mut self, change: Change) -> Self {
        self.central = Some(change);
        self
    }

    fn write_local(&self, archive: &mut Vec<u8>) {
        let mut header = self.header.clone();
        let has_descriptor = header.flags & DESCRIPTOR != 0;
        if has_descriptor {
            (header.crc, header.compressed, header.size) = (0, 0, 0);
        }
        if self.zip64 {
            let sizes = [header.size, header.compressed];
            header.extra.extend(wide(&sizes));
            (header.compressed, header.size) = (u32::MAX, u32::MAX);
        }
        if let Some(change) = self.local {
            change(&mut header);
        }
        archive.extend(b"PK\x03\x04\x14\x00");
        header.write_common(archive);
        archive.extend(&header.name);
        archive.extend(&header.extra);
        archive.extend(&self.packed);
        if has_descriptor {
            let header = &self.header;
            archive.extend(b"PK\x07\x08");
            archive.extend(header.crc.to_le_bytes());
            if self.zip64 {
                archive.extend(u64::from(header.compressed).to_le_bytes());
                archive.extend(u64::from(header.size).to_le_bytes());
            } else {
                archive.extend(header.compressed.to_le_bytes());
                archive.extend(header.size.to_le_bytes());
            }
        }
    }

    fn write_central(&self, offset: u32, archive: &mut Vec<u8>) {
        let mut header = self.header.clone();
        header.offset = offset;
        if self.zip64 {
            let values = [header.size, header.compressed, header.offset];
            header.extra.extend(wide(&values));
            (header.compressed, header.size, header.offset) = (u32::MAX, u32::MAX, u32::MAX);
        }
        if let Some(change) = self.central {
            change(&mut header);
        }
        archive.extend(b"PK\x01\x02\x14\x03\x14\x00");
        header.write_common(archive);
        archive.extend([0; 2]); // comment
        archive.extend(header.disk.to_le_bytes());
        archive.extend([0; 2]);
        archive.extend((header.mode << 16).to_le_bytes());
        archive.extend(header.offset.to_le_bytes());
        archive.extend(&header.name);
        archive.extend(&header.extra);
    }
}

impl ZipHeader {
    fn write_common(&self, archive: &mut Vec<u8>) {
        archive.extend(self.flags.to_le_bytes());
        archive.extend(self.method.to_le_bytes());
        archive.extend([0, 0, 0x21, 0]); // 1980-01-01
        for value in [self.crc, self.compressed, self.size] {
            archive.extend(value.to_le_bytes());
        }
        for length in [self.name.len(), self.extra.len()] {
            archive.extend((length as u16).to_le_bytes());
        }
    }
}

/// A ZIP64 extra field with these values.
fn wide(values: &[u32]) -> Vec<u8> {
    let mut field = 1_u16.to_le_bytes().to_vec();
    field.extend((8 * values.len() as u16).to_le_bytes());
    for value in values {
        field.extend(u64::from(*value).to_le_bytes());
    }
    field
}

/// An archive of these entries.
#[must_use]
pub fn zip(entries: &[ZipEntry]) -> Vec<u8> {
    finish(entries, false)
}

/// An archive of these entries with ZIP64 records at its end.
#[must_use]
pub fn zip64(entries: &[ZipEntry]) -> Vec<u8> {
    finish(entries, true)
}

fn finish(entries: &[ZipEntry], wide: bool) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut offsets = Vec::new();
    for entry in entries {
        offsets.push(archive.len() as u32);
        entry.write_local(&mut archive);
    }
    let start = archive.len() as u64;
    for (entry, offset) in entries.iter().zip(offsets) {
        entry.write_central(offset, &mut archive);
    }
    let (count, end) = (entries.len() as u64, archive.len() as u64);
    let size = end - start;
    if wide {
        archive.extend(b"PK\x06\x06");
        archive.extend(44_u64.to_le_bytes());
        archive.extend([0x2D, 0, 0x2D, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for value in [count, count, size, start] {
            archive.extend(value.to_le_bytes());
        }
        archive.extend(b"PK\x06\x07\0\0\0\0");
        archive.extend(end.to_le_bytes());
        archive.extend([1, 0, 0, 0]);
    }
    archive.extend(b"PK\x05\x06\0\0\0\0");
    let (count, size, start) = if wide {
        (u16::MAX, u32::MAX, u32::MAX)
    } else {
        (count as u16, size as u32, start as u32)
    };
    archive.extend(count.to_le_bytes());
    archive.extend(count.to_le_bytes());
    archive.extend(size.to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend([0; 2]);
    archive
}
