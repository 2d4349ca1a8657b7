//! Ranges, against a table and against an oracle that works on positions.

use crate::support::{Mirror, file};

const CONTENT: &[u8] = b"abcdefghij";

#[derive(Debug, PartialEq)]
enum Expected {
    Whole,
    Part(usize, usize),
    Unsatisfiable,
}

#[track_caller]
fn check(client: &mut crate::support::Client, header: &str, expected: &Expected) {
    let answer = client.ask("GET", &file("a.txt"), &[("Range", header)]);
    let range = answer.header("content-range");
    match *expected {
        Expected::Whole => {
            assert_eq!((answer.status, range), (200, None), "{header:?}");
            assert_eq!(answer.body, CONTENT, "{header:?}");
        }
        Expected::Part(first, last) => {
            let content_range = format!("bytes {first}-{last}/10");
            assert_eq!(
                (answer.status, range),
                (206, Some(content_range.as_str())),
                "{header:?}"
            );
            assert_eq!(answer.body, &CONTENT[first..=last], "{header:?}");
            assert!(answer.header("etag").is_some() && answer.header("x-file-sha256").is_some());
        }
        Expected::Unsatisfiable => {
            assert_eq!(
                (answer.status, range),
                (416, Some("bytes */10")),
                "{header:?}"
            );
            assert!(answer.error().contains("a.txt has 10 bytes"), "{header:?}");
        }
    }
}

#[test]
fn f70_ranges_are_answered_by_rfc_9110() {
    use Expected::{Part, Unsatisfiable, Whole};
    let mirror = Mirror::serving(&[("a.txt", CONTENT), ("empty", b"")]);
    let mut client = mirror.client();
    for (header, expected) in [
        ("bytes=0-", Part(0, 9)),
        ("bytes=4-", Part(4, 9)),
        ("bytes=2-4", Part(2, 4)),
        ("bytes=9-9", Part(9, 9)),
        ("bytes=5-99999999999999999999999999999", Part(5, 9)),
        ("bytes=-3", Part(7, 9)),
        ("bytes=-99", Part(0, 9)),
        ("bytes=-18446744073709551616", Part(0, 9)),
        ("Bytes=2-4", Part(2, 4)),
        ("bytes=10-", Unsatisfiable),
        ("bytes=18446744073709551616-", Unsatisfiable),
        ("bytes=-0", Unsatisfiable),
        ("bytes=4-2", Whole),
        ("bytes=99-98", Whole),
        ("bytes=", Whole),
        ("bytes=-", Whole),
        ("bytes", Whole),
        ("chars=0-1", Whole),
        ("bytes=0-1,4-5", Whole),
        ("bytes=0-1,99-", Whole),
        ("bytes=1e3-", Whole),
        ("bytes=-1-2", Whole),
    ] {
        check(&mut client, header, &expected);
    }
    let twice = client.ask(
        "GET",
        &file("a.txt"),
        &[("Range", "bytes=0-1"), ("Range", "bytes=2-3")],
    );
    assert_eq!((twice.status, twice.body.as_slice()), (200, CONTENT));
    for (header, status) in [
        ("bytes=0-", 416),
        ("bytes=0-0", 416),
        ("bytes=-1", 200),
        ("bytes=-0", 416),
    ] {
        let answer = client.ask("GET", &file("empty"), &[("Range", header)]);
        assert_eq!(answer.status, status, "{header}");
        if status == 416 {
            assert_eq!(answer.header("content-range"), Some("bytes */0"));
        }
    }
}

/// Which bytes a header asks for, decided position by position. Numbers have at most 30 digits
/// here, which `u128` holds.
fn oracle(header: &str) -> Expected {
    let header = header.trim_matches([' ', '\t']);
    let Some((unit, set)) = header.split_once('=') else {
        return Expected::Whole;
    };
    let specs: Vec<&str> = set
        .split(',')
        .map(|spec| spec.trim_matches([' ', '\t']))
        .filter(|spec| !spec.is_empty())
        .collect();
    let ([spec], "bytes") = (specs.as_slice(), unit.to_lowercase().as_str()) else {
        return Expected::Whole;
    };
    let numbers: Vec<&str> = spec.split('-').collect();
    let is_number = |text: &str| text.chars().all(|digit| digit.is_ascii_digit());
    let [first, last] = numbers.as_slice() else {
        return Expected::Whole;
    };
    if !is_number(first) || !is_number(last) {
        return Expected::Whole;
    }
    let length = CONTENT.len() as u128;
    let is_asked_for = |position: &u128| match (first.parse::<u128>(), last.parse::<u128>()) {
        (Ok(first), Ok(last)) => first <= *position && *position <= last,
        (Ok(first), Err(_)) => first <= *position,
        (Err(_), Ok(count)) => length - position <= count,
        (Err(_), Err(_)) => false,
    };
    match (first.parse::<u128>(), last.parse::<u128>()) {
        (Err(_), Err(_)) => return Expected::Whole,
        (Ok(first), Ok(last)) if first > last => return Expected::Whole,
        _ => {}
    }
    let positions: Vec<u128> = (0..length).filter(is_asked_for).collect();
    match (positions.first(), positions.last()) {
        (Some(&first), Some(&last)) => Expected::Part(first as usize, last as usize),
        _ => Expected::Unsatisfiable,
    }
}

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn number(&mut self) -> String {
        match self.below(8) {
            0 => String::new(),
            1 => (0..=self.below(29))
                .map(|_| char::from(b'0' + self.below(10) as u8))
                .collect(),
            2 => format!("{:0>width$}", self.below(15), width = self.below(25)),
            3 => self
                .pick(&[
                    "18446744073709551615",
                    "18446744073709551616",
                    "9223372036854775808",
                ])
                .to_owned(),
            _ => self.below(13).to_string(),
        }
    }

    fn header(&mut self) -> String {
        if self.below(10) == 0 {
            let pieces = [
                "bytes", "=", "-", ",", " ", "0", "7", "99", "x", ";", "\t", "*", "/", "\"", "é",
            ];
            return (0..self.below(12)).map(|_| self.pick(&pieces)).collect();
        }
        let mut header = self
            .pick(&[
                "bytes=", "bytes=", "bytes=", "bytes=", "BYTES=", "byte=", "bytes= ",
            ])
            .to_owned();
        for _ in 0..=self.below(12).saturating_sub(9) {
            header += &self.number();
            header += self.pick(&["-", "-", "-", "-", "-", "-", "--", "x", " - "]);
            header += &self.number();
            header += self.pick(&["", "", "", ",", " , ", "\t"]);
        }
        header
    }
}

#[test]
fn f70_ten_thousand_ranges_agree_with_the_oracle() {
    let mirror = Mirror::serving(&[("a.txt", CONTENT)]);
    let mut client = mirror.client();
    let mut dice = Dice(0x5EED);
    let mut seen = [0; 3];
    for _ in 0..10_000 {
        let header = dice.header();
        let expected = oracle(&header);
        seen[match expected {
            Expected::Whole => 0,
            Expected::Part(..) => 1,
            Expected::Unsatisfiable => 2,
        }] += 1;
        check(&mut client, &header, &expected);
    }
    assert!(
        seen.iter().all(|&count| count > 500),
        "the generator lost its variety: {seen:?}"
    );
}

#[test]
fn f70_a_huge_header_is_answered_or_refused_at_once() {
    let mirror = Mirror::serving(&[("a.txt", CONTENT)]);
    let many = format!("bytes={}", "0-0,".repeat(10_000));
    assert_eq!(
        mirror
            .client()
            .ask("GET", &file("a.txt"), &[("Range", &many)])
            .status,
        200
    );
    let digits = format!("bytes={}-", "9".repeat(50_000));
    check(&mut mirror.client(), &digits, &Expected::Unsatisfiable);
    // More than the server keeps of any request's headers. It may close before it has read all.
    let mut client = mirror.client();
    client.request(
        "GET",
        &file("a.txt"),
        &[("Range", &format!("bytes={}-", "9".repeat(100_000)))],
    );
    assert_eq!(client.answer("GET").status, 431);
}
