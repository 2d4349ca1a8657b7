use std::cmp::Ordering;

/// What a `Range` header asks of a content of a known length (RFC 9110, section 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeAnswer {
    /// No range that this server honours: answer 200 with everything. The RFC allows that for an
    /// unknown unit, an invalid header and for several ranges.
    Whole,
    /// Answer 206 with `first..=last`; always `first <= last < length`.
    Part { first: u64, last: u64 },
    /// Answer 416.
    Unsatisfiable,
}

/// Reads a `Range` header. Time is linear in the header's length, and nothing is allocated.
pub(crate) fn select_range(header: &[u8], length: u64) -> RangeAnswer {
    parse(header).map_or(RangeAnswer::Whole, |spec| spec.answer(length))
}

#[derive(Clone, Copy)]
enum RangeSpec {
    From { first: u64, last: Option<u64> },
    Suffix { count: u64 },
}

impl RangeSpec {
    fn answer(self, length: u64) -> RangeAnswer {
        match self {
            Self::From { first, .. } if first >= length => RangeAnswer::Unsatisfiable,
            Self::From { first, last } => RangeAnswer::Part {
                first,
                last: last.map_or(length - 1, |last| last.min(length - 1)),
            },
            Self::Suffix { count: 0 } => RangeAnswer::Unsatisfiable,
            // Satisfiable, but there is no way to write the Content-Range of no bytes.
            Self::Suffix { .. } if length == 0 => RangeAnswer::Whole,
            Self::Suffix { count } => RangeAnswer::Part {
                first: length.saturating_sub(count),
                last: length - 1,
            },
        }
    }
}

/// The only range of the header; `None` if it is invalid, of another unit, or has several.
fn parse(header: &[u8]) -> Option<RangeSpec> {
    let header = str::from_utf8(header).ok()?;
    let (unit, set) = header.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    // A list may hold empty elements (RFC 9110, section 5.6.1.2).
    let mut specs = set
        .split(',')
        .map(|spec| spec.trim_matches([' ', '\t']))
        .filter(|spec| !spec.is_empty());
    let spec = specs.next()?;
    if specs.next().is_some() {
        return None;
    }
    match spec.split_once('-')? {
        ("", count) => Some(RangeSpec::Suffix {
            count: number(count)?,
        }),
        (first, "") => Some(RangeSpec::From {
            first: number(first)?,
            last: None,
        }),
        (first, last) => {
            let spec = RangeSpec::From {
                first: number(first)?,
                last: Some(number(last)?),
            };
            (compare_digits(first, last) != Ordering::Greater).then_some(spec)
        }
    }
}

/// Any number of decimal digits. What is too large for a content is `u64::MAX`, which is longer
/// than any file.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// Compares numbers that may be larger than any integer type.
fn compare_digits(one: &str, other: &str) -> Ordering {
    let one = one.trim_start_matches('0');
    let other = other.trim_start_matches('0');
    one.len()
        .cmp(&other.len())
        .then_with(|| one.as_bytes().cmp(other.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUGE: &str = "99999999999999999999999999";

    fn part(first: u64, last: u64) -> RangeAnswer {
        RangeAnswer::Part { first, last }
    }

    #[test]
    fn single_ranges() {
        for (header, expected) in [
            ("bytes=0-", part(0, 9)),
            ("bytes=0-0", part(0, 0)),
            ("bytes=9-9", part(9, 9)),
            ("bytes=3-5", part(3, 5)),
            ("bytes=3-10", part(3, 9)),
            ("bytes=000000000000000000000000003-05", part(3, 5)),
            ("bytes=-1", part(9, 9)),
            ("bytes=-10", part(0, 9)),
            ("bytes=-11", part(0, 9)),
            ("BYTES=1-2", part(1, 2)),
            ("bytes=,1-2 ,\t", part(1, 2)),
            ("bytes=10-", RangeAnswer::Unsatisfiable),
            ("bytes=10-12", RangeAnswer::Unsatisfiable),
            ("bytes=-0", RangeAnswer::Unsatisfiable),
            ("bytes=18446744073709551615-", RangeAnswer::Unsatisfiable),
        ] {
            assert_eq!(select_range(header.as_bytes(), 10), expected, "{header}");
        }
        let huge = |header: String| select_range(header.as_bytes(), 10);
        assert_eq!(huge(format!("bytes=1-{HUGE}")), part(1, 9));
        assert_eq!(huge(format!("bytes=-{HUGE}")), part(0, 9));
        assert_eq!(huge(format!("bytes={HUGE}-")), RangeAnswer::Unsatisfiable);
        assert_eq!(
            huge(format!("bytes={HUGE}0-{HUGE}1")),
            RangeAnswer::Unsatisfiable
        );
        assert_eq!(huge(format!("bytes={HUGE}1-{HUGE}0")), RangeAnswer::Whole);
    }

    #[test]
    fn what_is_invalid_or_of_several_parts_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=--1",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=1",
            "bytes=0x1-2",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=1 - 2",
            "bytes =1-2",
            "items=0-1",
            "bytes:0-1",
            "bytes=0-1,3-4",
            "bytes=0-1;3-4",
            "bytes=\u{0661}-2",
        ] {
            assert_eq!(
                select_range(header.as_bytes(), 10),
                RangeAnswer::Whole,
                "{header:?}"
            );
        }
        assert_eq!(select_range(b"bytes=\xff-", 10), RangeAnswer::Whole);
    }

    #[test]
    fn an_empty_content_has_no_part() {
        assert_eq!(select_range(b"bytes=0-", 0), RangeAnswer::Unsatisfiable);
        assert_eq!(select_range(b"bytes=0-0", 0), RangeAnswer::Unsatisfiable);
        assert_eq!(select_range(b"bytes=-1", 0), RangeAnswer::Whole);
    }

    #[test]
    fn a_header_of_a_megabyte_is_read_once() {
        let many = format!("bytes={}", "0-1,".repeat(250_000));
        assert_eq!(select_range(many.as_bytes(), 10), RangeAnswer::Whole);
        let digits = format!("bytes={}-", "9".repeat(1_000_000));
        assert_eq!(
            select_range(digits.as_bytes(), 10),
            RangeAnswer::Unsatisfiable
        );
    }
}
