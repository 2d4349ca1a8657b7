//! The header in front of an entry's bytes (APPNOTE 4.3.7). It must say what the directory says: programs that read only one of
//! the two would see another archive.

use super::directory::{ENCRYPTED, Entry, LOCAL_HEADER, shown};
use super::fields::{Fields, IN_ZIP64, check_name, refused, zip64_extra};
use crate::Error;

const SIGNATURE: u32 = u32::from_le_bytes(*b"PK\x03\x04");
/// Sizes and checksum follow the bytes, and are not known yet here.
const DESCRIPTOR: u16 = 1 << 3;
/// How long these may be: with a signature or without, their sizes of four bytes each or eight (APPNOTE 4.3.9).
const DESCRIPTORS: [u64; 4] = [12, 16, 20, 24];

/// What the bytes from an entry's offset on hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// The header has more bytes than these: so many in all.
    Needs(u64),
    /// The header is right, and has so many bytes.
    Whole(u64),
}

/// Reads the header of the entry of this name.
pub(super) fn read(bytes: &[u8], name: &str, entry: &Entry) -> Result<Local, Error> {
    let at_entry = |why: &str| refused(format!("the ZIP's entry {} {why}", shown(name.as_bytes())));
    let Some(header) = Header::read(bytes) else {
        return Ok(Local::Needs(LOCAL_HEADER));
    };
    if header.signature != SIGNATURE {
        return Err(at_entry("is not where the directory says"));
    }
    let variable = u64::from(header.name_length) + u64::from(header.extra_length);
    let length = LOCAL_HEADER + variable;
    let behind = length
        .checked_add(entry.compressed)
        .and_then(|length| (entry.end - entry.offset).checked_sub(length));
    let Some(behind) = behind else {
        return Err(at_entry("reaches into the next one"));
    };
    let mut fields = Fields::new(&bytes[LOCAL_HEADER as usize..]);
    let texts = fields
        .bytes(header.name_length.into())
        .zip(fields.bytes(header.extra_length.into()));
    let Some((named, extra)) = texts else {
        return Ok(Local::Needs(length));
    };
    if named != name.as_bytes() {
        return Err(at_entry(&format!(
            "is called {} where its bytes are",
            shown(named)
        )));
    }
    if header.flags & ENCRYPTED != 0 || header.method != entry.method.number() {
        return Err(at_entry(
            "is packed in another way where its bytes are than the directory says",
        ));
    }
    check_name(extra, named).map_err(at_entry)?;
    if !header.agrees_with(entry, extra).map_err(at_entry)? {
        return Err(at_entry(
            "has other sizes or another checksum where its bytes are than the directory says",
        ));
    }
    let is_descriptor = header.flags & DESCRIPTOR != 0 && DESCRIPTORS.contains(&behind);
    if behind > 0 && !is_descriptor {
        // Who reads from the front would find more entries there.
        return Err(at_entry(&format!(
            "is followed by {behind} bytes that belong to no entry"
        )));
    }
    Ok(Local::Whole(length))
}

#[derive(Debug)]
struct Header {
    signature: u32,
    flags: u16,
    method: u16,
    crc: u32,
    compressed: u32,
    size: u32,
    name_length: u16,
    extra_length: u16,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let signature = fields.u32()?;
        let _version = fields.u16()?;
        let (flags, method) = (fields.u16()?, fields.u16()?);
        let _time = fields.u32()?;
        Some(Self {
            signature,
            flags,
            method,
            crc: fields.u32()?,
            compressed: fields.u32()?,
            size: fields.u32()?,
            name_length: fields.u16()?,
            extra_length: fields.u16()?,
        })
    }

    fn agrees_with(&self, entry: &Entry, extra: &[u8]) -> Result<bool, &'static str> {
        let wide = zip64_extra(extra)?;
        let (mut size, mut compressed) = (u64::from(self.size), u64::from(self.compressed));
        if let Some(mut wide) = wide {
            // Both sizes are there, in this order, whichever of the fields refers to them (APPNOTE 4.5.3).
            for (value, field) in [(&mut size, self.size), (&mut compressed, self.compressed)] {
                let widened = wide.u64();
                if field == IN_ZIP64 {
                    *value = widened.ok_or("has a ZIP64 field that is cut short")?;
                }
            }
        }
        let values = [
            (u64::from(self.crc), u64::from(entry.crc)),
            (compressed, entry.compressed),
            (size, entry.size),
        ];
        let is_unknown =
            |value: u64| self.flags & DESCRIPTOR != 0 && [0, u64::from(IN_ZIP64)].contains(&value);
        Ok(values
            .iter()
            .all(|&(here, there)| here == there || is_unknown(here)))
    }
}
