//! Where the directory is: the end of the archive (APPNOTE 4.3.14 to 4.3.16).

use std::ops::Range;

use super::fields::{Fields, IN_ZIP64, IN_ZIP64_SHORT, refused};
use crate::Error;

/// How much of the end has to be looked at: the end record with the longest comment, and the ZIP64 records in front of it.
pub(super) const TAIL: u64 = END as u64 + 0xFFFF + LOCATOR as u64 + 1024;

const SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const END: usize = 22;
const LOCATOR_SIGNATURE: [u8; 4] = *b"PK\x06\x07";
const LOCATOR: usize = 20;
const ZIP64_SIGNATURE: [u8; 4] = *b"PK\x06\x06";
/// The fields of the ZIP64 record that count in its own length.
const ZIP64_LENGTH: u64 = 44;

/// Where the directory is, and how many entries it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) directory: Range<u64>,
    pub(super) entries: u64,
}

/// Reads the end records from the last bytes of an archive of `total` bytes; `None` if there is no end record at all.
///
/// Exactly one reading may be possible: an archive that another program could read in another way is refused.
pub(super) fn find(tail: &[u8], total: u64) -> Result<Option<End>, Error> {
    let tail_start = total - tail.len() as u64;
    let is_end = |at: &usize| {
        let length = tail.get(at + 20..at + 22);
        tail[*at..].starts_with(&SIGNATURE)
            && length.is_some_and(|length| {
                at + END + usize::from(length[0]) + usize::from(length[1]) * 256 == tail.len()
            })
    };
    let mut found = (0..tail.len()).filter(is_end);
    let Some(at) = found.next() else {
        return Ok(None);
    };
    let comment = &tail[at + END..];
    if comment.windows(4).any(|bytes| bytes == SIGNATURE) {
        return Err(refused(
            "the ZIP has two end records, and which of them counts cannot be told",
        ));
    }
    let record = Record::read(&tail[at..]).ok_or_else(|| refused("the ZIP's end record is cut"))?;
    let located = at
        .checked_sub(LOCATOR)
        .map(|locator| (locator, &tail[locator..at]))
        .filter(|(_, bytes)| bytes.starts_with(&LOCATOR_SIGNATURE));
    let (counts, end) = match located {
        Some((locator, bytes)) => {
            let (counts, start) = zip64(bytes, tail, tail_start, tail_start + locator as u64)?;
            record.agrees_with(&counts)?;
            (counts, start)
        }
        None if record.size == IN_ZIP64 || record.offset == IN_ZIP64 => {
            return Err(refused(
                "the ZIP's end record refers to ZIP64 records that are not there",
            ));
        }
        None if record.parts != [0, 0] || record.here != record.entries => return Err(split()),
        None => (record.counts(), tail_start + at as u64),
    };
    counts.end_at(end).map(Some)
}

/// What both end records say.
#[derive(Clone, Copy, Debug)]
struct Counts {
    entries: u64,
    size: u64,
    offset: u64,
}

impl Counts {
    /// The directory must end exactly where the end records begin.
    fn end_at(self, end: u64) -> Result<End, Error> {
        let stated = self
            .offset
            .checked_add(self.size)
            .ok_or_else(|| refused("the ZIP's end record states a directory beyond all sizes"))?;
        if stated > end {
            return Err(refused(format!(
                "the ZIP's directory should end at byte {stated}, but its end record is at byte {end} already: \
                 the archive is damaged or cut"
            )));
        }
        if stated < end {
            return Err(refused(format!(
                "{} bytes that do not belong to the ZIP are in it; archives with something in front of them, such as \
                 self-extracting ones, are not read",
                end - stated
            )));
        }
        Ok(End {
            directory: self.offset..end,
            entries: self.entries,
        })
    }
}

/// The end record as it stands there.
#[derive(Debug)]
struct Record {
    parts: [u16; 2],
    here: u16,
    entries: u16,
    size: u32,
    offset: u32,
}

impl Record {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let _signature = fields.u32()?;
        Some(Self {
            parts: [fields.u16()?, fields.u16()?],
            here: fields.u16()?,
            entries: fields.u16()?,
            size: fields.u32()?,
            offset: fields.u32()?,
        })
    }

    fn counts(&self) -> Counts {
        Counts {
            entries: self.entries.into(),
            size: self.size.into(),
            offset: self.offset.into(),
        }
    }

    /// Each field states the same as the ZIP64 record, or refers to it.
    fn agrees_with(&self, wide: &Counts) -> Result<(), Error> {
        let short = |field: u16, wide: u64| field == IN_ZIP64_SHORT || u64::from(field) == wide;
        let agree = self.parts.iter().all(|&part| short(part, 0))
            && short(self.here, wide.entries)
            && short(self.entries, wide.entries)
            && (self.size == IN_ZIP64 || u64::from(self.size) == wide.size)
            && (self.offset == IN_ZIP64 || u64::from(self.offset) == wide.offset);
        if agree {
            Ok(())
        } else {
            Err(refused("the ZIP's two end records contradict each other"))
        }
    }
}

fn split() -> Error {
    refused("the ZIP is one of several parts; only whole archives are read")
}

/// What the ZIP64 record says, and where it begins.
fn zip64(
    locator: &[u8],
    tail: &[u8],
    tail_start: u64,
    locator_at: u64,
) -> Result<(Counts, u64), Error> {
    let wrong = || refused("the ZIP's ZIP64 records are damaged");
    let mut fields = Fields::new(locator);
    let read = (|| Some((fields.u32()?, fields.u32()?, fields.u64()?, fields.u32()?)))();
    let (_signature, disk, start, disks) = read.ok_or_else(wrong)?;
    if disk != 0 || disks > 1 {
        return Err(split());
    }
    let in_tail = start.checked_sub(tail_start).ok_or_else(wrong)?;
    let record = usize::try_from(in_tail).ok().and_then(|at| tail.get(at..));
    let record = record.ok_or_else(wrong)?;
    if !record.starts_with(&ZIP64_SIGNATURE) {
        return Err(wrong());
    }
    let mut fields = Fields::new(record);
    let read = (|| {
        let _signature = fields.u32()?;
        let length = fields.u64()?;
        let _versions = fields.u32()?;
        let parts = [fields.u32()?, fields.u32()?];
        let here = fields.u64()?;
        let counts = Counts {
            entries: fields.u64()?,
            size: fields.u64()?,
            offset: fields.u64()?,
        };
        Some((length, parts, here, counts))
    })();
    let (length, parts, here, counts) = read.ok_or_else(wrong)?;
    if length < ZIP64_LENGTH
        || start.checked_add(12).and_then(|at| at.checked_add(length)) != Some(locator_at)
    {
        return Err(wrong());
    }
    if parts != [0, 0] || here != counts.entries {
        return Err(split());
    }
    Ok((counts, start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn short(entries: u16, size: u32, offset: u32, comment: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 4]);
        bytes.extend([entries, entries].map(u16::to_le_bytes).concat());
        bytes.extend([size, offset].map(u32::to_le_bytes).concat());
        bytes.extend((comment.len() as u16).to_le_bytes());
        bytes.extend(comment);
        bytes
    }

    fn wide(entries: u64, size: u64, offset: u64, at: u64) -> Vec<u8> {
        let mut bytes = ZIP64_SIGNATURE.to_vec();
        bytes.extend(ZIP64_LENGTH.to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend(
            [entries, entries, size, offset]
                .map(u64::to_le_bytes)
                .concat(),
        );
        bytes.extend(LOCATOR_SIGNATURE);
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(at.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes
    }

    /// A directory of 100 bytes after 50 of entries, and then this.
    fn read(end: &[u8]) -> Result<Option<End>, Error> {
        let tail = [&[b'x'; 150], end].concat();
        find(&tail, tail.len() as u64)
    }

    fn refusal(end: &[u8]) -> String {
        let error = read(end).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Archive);
        error.to_string()
    }

    #[test]
    fn the_directory_lies_before_the_end_record_with_or_without_a_comment() {
        let wanted = End {
            directory: 50..150,
            entries: 2,
        };
        for comment in [Vec::new(), b"a comment".to_vec(), vec![b'c'; 0xFFFF]] {
            assert_eq!(
                read(&short(2, 100, 50, &comment)).unwrap(),
                Some(wanted.clone())
            );
        }
        // Only the tail of a longer archive is looked at.
        let end = short(2, 100, 1050, b"");
        let directory = find(&end, 1150 + END as u64).unwrap().unwrap().directory;
        assert_eq!(directory, 1050..1150);
    }

    #[test]
    fn no_end_record_is_no_archive() {
        for bytes in [
            &b""[..],
            b"PK",
            b"<!doctype html>",
            &short(2, 100, 50, b"cut")[..20],
        ] {
            assert_eq!(read(bytes).unwrap(), None);
        }
        // Something behind the end: the comment does not reach it.
        assert_eq!(
            read(&[short(2, 100, 50, b""), vec![0]].concat()).unwrap(),
            None
        );
    }

    #[test]
    fn a_second_end_record_is_refused_wherever_it_hides() {
        let inner = short(1, 10, 10, b"");
        assert!(refusal(&short(2, 100, 50, &inner)).contains("two end records"));
        let unfinished = [&inner[..], b"more"].concat();
        assert!(refusal(&short(2, 100, 50, &unfinished)).contains("two end records"));
    }

    #[test]
    fn what_is_before_the_directory_or_behind_it_is_refused() {
        assert!(refusal(&short(2, 100, 40, b"")).contains("10 bytes that do not belong"));
        assert!(refusal(&short(2, 100, 51, b"")).contains("damaged or cut"));
        assert!(refusal(&short(2, u32::MAX - 1, u32::MAX - 1, b"")).contains("damaged or cut"));
    }

    #[test]
    fn parts_of_a_split_archive_are_refused() {
        let mut end = short(2, 100, 50, b"");
        end[4] = 1;
        assert!(refusal(&end).contains("several parts"));
        let mut end = short(2, 100, 50, b"");
        end[8] = 1;
        assert!(refusal(&end).contains("several parts"));
    }

    #[test]
    fn zip64_records_count_where_they_agree() {
        let wanted = End {
            directory: 50..150,
            entries: 2,
        };
        for record in [
            short(2, 100, 50, b""),
            short(IN_ZIP64_SHORT, IN_ZIP64, IN_ZIP64, b"comment"),
            short(2, IN_ZIP64, 50, b""),
        ] {
            let end = [wide(2, 100, 50, 150), record].concat();
            assert_eq!(read(&end).unwrap(), Some(wanted.clone()));
        }
    }

    #[test]
    fn inconsistent_zip64_records_are_refused() {
        let sentinel = short(IN_ZIP64_SHORT, IN_ZIP64, IN_ZIP64, b"");
        assert!(refusal(&sentinel).contains("not there"));
        for contrary in [
            short(3, 100, 50, b""),
            short(2, 99, 50, b""),
            short(2, 100, 51, b""),
        ] {
            let end = [wide(2, 100, 50, 150), contrary].concat();
            assert!(refusal(&end).contains("contradict"));
        }
        let with = |at: usize, bytes: &[u8]| {
            let mut records = wide(2, 100, 50, 150);
            records[at..at + bytes.len()].copy_from_slice(bytes);
            refusal(&[records, sentinel.clone()].concat())
        };
        assert!(with(0, b"x").contains("damaged"));
        assert!(with(4, &[45]).contains("damaged"), "a length of its own");
        assert!(with(16, &[1]).contains("several parts"));
        assert!(with(24, &[1]).contains("several parts"));
        assert!(with(40, &u64::MAX.to_le_bytes()).contains("beyond all sizes"));
        assert!(
            with(64, &[149]).contains("damaged"),
            "the locator points elsewhere"
        );
        assert!(with(64, &u64::MAX.to_le_bytes()).contains("damaged"));
        assert!(with(72, &[2]).contains("several parts"));
    }
}
