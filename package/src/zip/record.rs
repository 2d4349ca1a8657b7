/// How a content is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// As it is.
    Stored,
    /// Compressed by Deflate (RFC 1951).
    Deflated,
}

/// What the records of one file say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) method: Method,
    pub(crate) executable: bool,
    pub(crate) crc: u32,
    /// Bytes of the content as it is written.
    pub(crate) compressed: u64,
    /// Bytes of the file.
    pub(crate) size: u64,
}

const LOCAL_FILE: u32 = 0x0403_4b50;
const CENTRAL_FILE: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const ZIP64_END: u32 = 0x0606_4b50;
const ZIP64_LOCATOR: u32 = 0x0706_4b50;

/// The header of the extra field with 64-bit numbers.
const ZIP64_FIELD: u16 = 0x0001;
/// General purpose bit 11: the name is UTF-8.
const UTF8: u16 = 1 << 11;
/// 1980-01-01, the first day that the format knows.
const DATE: u16 = 1 << 5 | 1;
const MIDNIGHT: u16 = 0;
const VERSION_2_0: u16 = 20;
const VERSION_4_5: u16 = 45;
/// "Version made by" says whose attributes there are, too.
const UNIX: u16 = 3 << 8;

/// A number that fits, or the mark that says where to look for it.
fn or_marked(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn needs_64_bits(number: u64) -> bool {
    number >= u64::from(u32::MAX)
}

struct Record(Vec<u8>);

impl Record {
    fn new(signature: u32) -> Self {
        Self(signature.to_le_bytes().to_vec())
    }

    fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

/// The extra field for numbers that 32 bits do not hold; nothing if there is none.
fn zip64_field(numbers: &[u64]) -> Vec<u8> {
    if numbers.is_empty() {
        return Vec::new();
    }
    let mut field = Vec::with_capacity(4 + 8 * numbers.len());
    field.extend(ZIP64_FIELD.to_le_bytes());
    field.extend((8 * numbers.len() as u16).to_le_bytes());
    for number in numbers {
        field.extend(number.to_le_bytes());
    }
    field
}

impl Entry<'_> {
    fn is_large(&self) -> bool {
        needs_64_bits(self.size) || needs_64_bits(self.compressed)
    }

    fn marked_sizes(&self) -> [u32; 2] {
        [self.compressed, self.size].map(or_marked)
    }

    /// What both records of a file share.
    fn common(&self, record: Record, is_zip64: bool, sizes: [u32; 2], extra: &[u8]) -> Record {
        let version = if is_zip64 { VERSION_4_5 } else { VERSION_2_0 };
        let name_length =
            u16::try_from(self.name.len()).expect("a release path has at most 1024 bytes");
        record
            .u16(version)
            .u16(if self.name.is_ascii() { 0 } else { UTF8 })
            .u16(match self.method {
                Method::Stored => 0,
                Method::Deflated => 8,
            })
            .u16(MIDNIGHT)
            .u16(DATE)
            .u32(self.crc)
            .u32(sizes[0])
            .u32(sizes[1])
            .u16(name_length)
            .u16(extra.len() as u16)
    }

    /// What stands in front of the content.
    pub(crate) fn local(&self) -> Vec<u8> {
        // Here, other than in the central directory, both sizes are in the extra field or none.
        let (sizes, extra) = if self.is_large() {
            ([u32::MAX; 2], zip64_field(&[self.size, self.compressed]))
        } else {
            (self.marked_sizes(), Vec::new())
        };
        self.common(Record::new(LOCAL_FILE), self.is_large(), sizes, &extra)
            .bytes(self.name.as_bytes())
            .bytes(&extra)
            .0
    }

    /// What stands in the central directory.
    pub(crate) fn central(&self, offset: u64) -> Vec<u8> {
        let numbers: Vec<u64> = [self.size, self.compressed, offset]
            .into_iter()
            .filter(|&number| needs_64_bits(number))
            .collect();
        let extra = zip64_field(&numbers);
        let is_zip64 = !numbers.is_empty();
        let made_by = UNIX | if is_zip64 { VERSION_4_5 } else { VERSION_2_0 };
        let mode: u32 = if self.executable {
            0o100_755
        } else {
            0o100_644
        };
        let record = Record::new(CENTRAL_FILE).u16(made_by);
        self.common(record, is_zip64, self.marked_sizes(), &extra)
            .u16(0) // comment
            .u16(0) // disk
            .u16(0) // internal attributes
            .u32(mode << 16)
            .u32(or_marked(offset))
            .bytes(self.name.as_bytes())
            .bytes(&extra)
            .0
    }
}

/// What stands behind the central directory.
pub(crate) fn end(entries: u64, directory_offset: u64, directory_size: u64) -> Vec<u8> {
    let few = u16::try_from(entries).unwrap_or(u16::MAX);
    let is_zip64 =
        few == u16::MAX || needs_64_bits(directory_offset) || needs_64_bits(directory_size);
    let mut bytes = Vec::new();
    if is_zip64 {
        let end = Record::new(ZIP64_END)
            .u64(44) // bytes of this record from here on
            .u16(UNIX | VERSION_4_5)
            .u16(VERSION_4_5)
            .u32(0) // this disk
            .u32(0) // the directory's disk
            .u64(entries)
            .u64(entries)
            .u64(directory_size)
            .u64(directory_offset);
        let locator = Record::new(ZIP64_LOCATOR)
            .u32(0)
            .u64(directory_offset + directory_size)
            .u32(1);
        bytes.extend(end.0);
        bytes.extend(locator.0);
    }
    let end = Record::new(END)
        .u16(0)
        .u16(0)
        .u16(few)
        .u16(few)
        .u32(or_marked(directory_size))
        .u32(or_marked(directory_offset))
        .u16(0); // comment
    bytes.extend(end.0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Entry<'_> = Entry {
        name: "a.txt",
        method: Method::Deflated,
        executable: false,
        crc: 0x1234_5678,
        compressed: 5,
        size: 9,
    };
    const LARGE: u64 = 5 << 30;

    #[test]
    fn a_small_file_has_no_extra_field() {
        let local = SMALL.local();
        assert_eq!(local.len(), 30 + 5);
        assert_eq!(local[4..6], [20, 0], "version 2.0 suffices");
        assert_eq!(
            local[14..26],
            [0x78, 0x56, 0x34, 0x12, 5, 0, 0, 0, 9, 0, 0, 0]
        );
        assert_eq!(SMALL.central(7).len(), 46 + 5);
        assert_eq!(end(1, 40, 51).len(), 22);
    }

    #[test]
    fn what_32_bits_do_not_hold_is_in_the_extra_field() {
        let large = Entry {
            size: LARGE,
            ..SMALL
        };
        let local = large.local();
        assert_eq!(local[18..26], [0xFF; 8], "both sizes are marked");
        assert_eq!(local[35..39], [1, 0, 16, 0]);
        assert_eq!(local[39..47], LARGE.to_le_bytes());
        assert_eq!(local[47..55], 5_u64.to_le_bytes());
        let central = large.central(7);
        assert_eq!(
            central.len(),
            46 + 5 + 4 + 8,
            "only the number that needs it"
        );
        assert_eq!(central[20..24], [5, 0, 0, 0]);
        assert_eq!(central[24..28], [0xFF; 4]);
        let far = SMALL.central(u64::from(u32::MAX));
        assert_eq!(far[42..46], [0xFF; 4], "the mark itself is no offset");
        assert_eq!(far[55..63], u64::from(u32::MAX).to_le_bytes());
    }

    #[test]
    fn many_entries_or_a_far_directory_need_the_larger_end() {
        assert_eq!(end(65_534, 0, 0).len(), 22);
        for end in [end(65_535, 0, 0), end(1, LARGE, 3), end(1, 3, LARGE)] {
            assert_eq!(end.len(), 56 + 20 + 22);
        }
        let far = end(1, LARGE, 3);
        assert_eq!(
            far[64..72],
            (LARGE + 3).to_le_bytes(),
            "where the larger end is"
        );
    }

    #[test]
    fn only_other_names_than_ascii_are_marked_as_utf_8() {
        let umlaut = Entry {
            name: "ä", ..SMALL
        };
        assert_eq!(SMALL.local()[6..8], [0, 0]);
        assert_eq!(umlaut.local()[6..8], [0, 8]);
    }
}
