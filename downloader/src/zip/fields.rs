//! Little-endian fields, read one after the other, and the extra fields of headers.

use crate::{Error, ErrorKind};

/// What stands in a field whose value is in the ZIP64 extra field instead (APPNOTE 4.4.1.4).
pub(super) const IN_ZIP64: u32 = u32::MAX;
/// Likewise for fields of two bytes.
pub(super) const IN_ZIP64_SHORT: u16 = u16::MAX;

/// An archive that is refused, and why.
pub(super) fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Archive, why)
}

/// Bytes that are taken from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// The ZIP64 extra field (APPNOTE 4.5.3), if there is one.
pub(super) fn zip64_extra(extra: &[u8]) -> Result<Option<Fields<'_>>, &'static str> {
    const ZIP64: u16 = 0x0001;
    extra_field(extra, ZIP64)
}

/// Refuses a name that is another one in the extra field for Unicode names (APPNOTE 4.6.9), which only some programs read.
pub(super) fn check_name(extra: &[u8], name: &[u8]) -> Result<(), &'static str> {
    const UNICODE_PATH: u16 = 0x7075;
    /// The field's version, and the checksum of the name that it is for.
    const BEFORE_NAME: usize = 1 + 4;
    let Some(mut field) = extra_field(extra, UNICODE_PATH)? else {
        return Ok(());
    };
    let named = field.bytes(BEFORE_NAME).map(|_| field.0);
    if named == Some(name) {
        Ok(())
    } else {
        Err("has another name in its extra fields")
    }
}

/// The extra field of this kind, if there is one. Twice would leave open which of them counts.
fn extra_field(extra: &[u8], wanted: u16) -> Result<Option<Fields<'_>>, &'static str> {
    /// Less than a header: padding, which some tools leave.
    const SMALLEST: usize = 4;
    let mut fields = Fields::new(extra);
    let mut found = None;
    while fields.len() >= SMALLEST {
        let header = fields.u16().zip(fields.u16());
        let (id, length) = header.ok_or("has an extra field that is cut short")?;
        let content = fields
            .bytes(length.into())
            .ok_or("has an extra field that is longer than its place")?;
        if id == wanted && found.replace(Fields::new(content)).is_some() {
            return Err("has two extra fields of one kind");
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip64_field_is_found_among_others_and_only_once() {
        let other = [0x55, 0x54, 1, 0, 9];
        let ours = [1, 0, 2, 0, 7, 8];
        let extra = [&other[..], &ours, &[0; 3]].concat();
        let mut found = zip64_extra(&extra).unwrap().unwrap();
        assert_eq!(found.u16(), Some(0x0807));
        assert!(zip64_extra(&other).unwrap().is_none());
        assert!(zip64_extra(&[]).unwrap().is_none());
        assert!(zip64_extra(&[ours, ours].concat()).is_err());
        assert!(zip64_extra(&ours[..5]).is_err());
    }
}
