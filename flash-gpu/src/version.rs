use std::cmp::Ordering;
use std::fmt;

/// A version of numbers and dots. `12.10` is newer than `12.9`, and `12` is `12.0`.
#[derive(Clone, Debug)]
pub(crate) struct Dotted(Vec<u64>);

impl Dotted {
    /// The whole text, which has at most four numbers.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let numbers: Option<Vec<u64>> = text.split('.').map(number).collect();
        numbers.filter(|numbers| numbers.len() <= 4).map(Self)
    }

    /// The version that a text begins with: `3.13.0` of `3.13.0rc1+`.
    pub(crate) fn parse_start(text: &str) -> Option<Self> {
        let end = text
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(text.len());
        Self::parse(text[..end].trim_end_matches('.'))
    }
}

fn number(text: &str) -> Option<u64> {
    let is_number =
        !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

impl PartialEq for Dotted {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Dotted {}

impl PartialOrd for Dotted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Dotted {
    fn cmp(&self, other: &Self) -> Ordering {
        let at = |numbers: &[u64], index| numbers.get(index).copied().unwrap_or(0);
        let length = self.0.len().max(other.0.len());
        (0..length)
            .map(|index| at(&self.0, index).cmp(&at(&other.0, index)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl fmt::Display for Dotted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u64::to_string).collect();
        formatter.write_str(&numbers.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Dotted {
        Dotted::parse(text).unwrap_or_else(|| panic!("{text:?}"))
    }

    #[test]
    fn numbers_are_compared_not_texts() {
        assert!(parse("12.10") > parse("12.9"));
        assert!(parse("9.0") < parse("12"));
        assert!(parse("3.11.4") > parse("3.11"));
        assert_eq!(parse("12"), parse("12.0.0"));
        assert_eq!(parse(" 12.1\n").to_string(), "12.1");
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "",
            ".",
            "12.",
            ".1",
            "a",
            "12.x",
            ">=12.1",
            "-1",
            "1 2",
            "1.2.3.4.5",
            "9999999999",
            "+1",
            "١",
        ] {
            assert!(Dotted::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn what_follows_a_version_is_left_out() {
        for (text, version) in [
            ("3.13.0rc1", "3.13.0"),
            ("3.12.1+", "3.12.1"),
            ("3.14.", "3.14"),
        ] {
            assert_eq!(Dotted::parse_start(text), Some(parse(version)), "{text}");
        }
        assert!(Dotted::parse_start("rc1").is_none());
    }
}
