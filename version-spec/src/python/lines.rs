//! The lines of a `requirements.txt`, as pip reads them.

/// A text in whatever encoding editors leave behind: UTF-8 or UTF-16 with a byte order mark, else UTF-8. What is not is replaced, since
/// it is mostly a comment in another encoding.
pub(super) fn decoded(bytes: &[u8]) -> String {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks_exact(2);
        let units: Vec<u16> = units.map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xFF, 0xFE, ..] => wide(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => wide(u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The lines that say something: those joined that a backslash continues, without comments and empty ones.
pub(super) fn logical(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.split(['\n', '\r']) {
        let is_comment = line.trim_start().starts_with('#');
        match line.strip_suffix('\\') {
            // A backslash at the end of a comment continues nothing.
            Some(begun) if !is_comment => {
                open += begun;
                continue;
            }
            _ => {}
        }
        if is_comment && !open.is_empty() {
            open.push(' ');
        }
        open += line;
        let line = std::mem::take(&mut open);
        lines.push(without_comment(&line).trim().to_owned());
    }
    lines.push(without_comment(&open).trim().to_owned());
    lines.retain(|line| !line.is_empty());
    lines
}

/// A `#` starts a comment only at the start or behind white space: addresses have fragments.
fn without_comment(line: &str) -> &str {
    let starts = |(at, _): &(usize, &str)| {
        *at == 0 || line[..*at].ends_with(|letter: char| letter.is_whitespace())
    };
    let comment = line.match_indices('#').find(starts);
    comment.map_or(line, |(at, _)| &line[..at])
}

/// An option and its value: `--name value`, `--name=value`, `-n value`, `-nvalue`.
pub(super) fn option(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix('-')?;
    let end = if rest.starts_with('-') {
        line.find(|letter: char| letter == '=' || letter.is_whitespace())
            .unwrap_or(line.len())
    } else {
        rest.chars()
            .next()
            .map_or(1, |letter| 1 + letter.len_utf8())
    };
    let (name, value) = line.split_at(end);
    let value = value.trim_start();
    let value = value.strip_prefix('=').unwrap_or(value).trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| {
        value
            .strip_prefix(quote)
            .and_then(|value| value.strip_suffix(quote))
    });
    Some((name, quoted.unwrap_or(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_seen_through() {
        let wide: Vec<u8> = "\u{FEFF}numpy\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let swapped: Vec<u8> = "\u{FEFF}numpy\r\n"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        for bytes in [
            &wide[..],
            &swapped,
            b"\xEF\xBB\xBFnumpy\r\n",
            b"numpy # \xC4\xE3\r\n",
        ] {
            assert_eq!(logical(&decoded(bytes)), ["numpy"], "{bytes:?}");
        }
    }

    #[test]
    fn lines_are_joined_and_comments_left_out() {
        let text = "# c \\\na\n\n  b # c\nc \\\n  >=1\ngit+https://h/x#egg=x # d\nd\\";
        assert_eq!(
            logical(text),
            ["a", "b", "c   >=1", "git+https://h/x#egg=x", "d"]
        );
        assert_eq!(logical("a \\\n# comment\nb"), ["a", "b"]);
    }

    #[test]
    fn options_are_split() {
        for (line, parts) in [
            ("-r other.txt", Some(("-r", "other.txt"))),
            ("-rother.txt", Some(("-r", "other.txt"))),
            (
                "--requirement=other.txt",
                Some(("--requirement", "other.txt")),
            ),
            ("--pre", Some(("--pre", ""))),
            (
                "--index-url 'https://h'",
                Some(("--index-url", "https://h")),
            ),
            ("-", Some(("-", ""))),
            ("numpy", None),
        ] {
            assert_eq!(option(line), parts, "{line}");
        }
    }
}
