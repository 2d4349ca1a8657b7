use axum::http::HeaderMap;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE};

/// What the preconditions of a GET or HEAD say about a content with a strong tag (RFC 9110,
/// section 13.2.2).
///
/// Contents here have no modification date, so the RFC has `If-Modified-Since` and
/// `If-Unmodified-Since` ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Answer as if there were none.
    Met,
    /// Answer 304.
    NotModified,
    /// Answer 412.
    Failed,
}

/// Evaluates `If-Match`, then `If-None-Match`. `tag` is the strong tag with its quotes.
pub(crate) fn evaluate(headers: &HeaderMap, tag: &str) -> Precondition {
    let any = |name, comparison| {
        headers
            .get_all(name)
            .iter()
            .any(|value| list_matches(value.as_bytes(), tag, comparison))
    };
    if headers.contains_key(IF_MATCH) && !any(IF_MATCH, Comparison::Strong) {
        Precondition::Failed
    } else if any(IF_NONE_MATCH, Comparison::Weak) {
        Precondition::NotModified
    } else {
        Precondition::Met
    }
}

/// Whether a `Range` may be answered with a part: there is no `If-Range`, or it names exactly this
/// strong tag. A weak tag and a date never match.
pub(crate) fn range_is_allowed(headers: &HeaderMap, tag: &str) -> bool {
    let mut values = headers.get_all(IF_RANGE).iter();
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(value), None) => value.as_bytes() == tag.as_bytes(),
        _ => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak tag matches nothing.
    Strong,
    /// `W/` does not count.
    Weak,
}

/// Whether `*` or a list of entity tags holds `tag`. Reading ends at the first malformed element.
fn list_matches(list: &[u8], tag: &str, comparison: Comparison) -> bool {
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return true;
    }
    loop {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (is_weak, opaque) = match rest {
            [b'W', b'/', after @ ..] => (true, after),
            _ => (false, rest),
        };
        let [b'"', inside @ ..] = opaque else {
            return false;
        };
        let Some(end) = inside.iter().position(|&byte| byte == b'"') else {
            return false;
        };
        // The quotes count: both sides have them.
        let (candidate, after) = opaque.split_at(end + 2);
        if candidate == tag.as_bytes() && !(is_weak && comparison == Comparison::Strong) {
            return true;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for (value, expected) in [
            ("\"a\"", Precondition::NotModified),
            ("W/\"a\"", Precondition::NotModified),
            ("*", Precondition::NotModified),
            ("\"b\", \"x,y\" ,,W/\"a\"", Precondition::NotModified),
            ("\"b\"", Precondition::Met),
            ("\"A\"", Precondition::Met),
            ("a", Precondition::Met),
            ("\"a", Precondition::Met),
            ("\"b,\"a\"", Precondition::Met),
            ("", Precondition::Met),
        ] {
            let headers = headers(&[(IF_NONE_MATCH, value)]);
            assert_eq!(evaluate(&headers, "\"a\""), expected, "{value}");
        }
        let lines = headers(&[(IF_NONE_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")]);
        assert_eq!(evaluate(&lines, "\"a\""), Precondition::NotModified);
    }

    #[test]
    fn if_match_compares_strongly_and_comes_first() {
        for (value, expected) in [
            ("\"a\"", Precondition::Met),
            ("*", Precondition::Met),
            ("\"b\", \"a\"", Precondition::Met),
            ("W/\"a\"", Precondition::Failed),
            ("\"b\"", Precondition::Failed),
            ("garbage", Precondition::Failed),
        ] {
            let headers = headers(&[(IF_MATCH, value)]);
            assert_eq!(evaluate(&headers, "\"a\""), expected, "{value}");
        }
        let both = headers(&[(IF_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")]);
        assert_eq!(evaluate(&both, "\"a\""), Precondition::Failed);
    }

    #[test]
    fn if_range_needs_the_one_strong_tag() {
        assert!(range_is_allowed(&HeaderMap::new(), "\"a\""));
        assert!(range_is_allowed(&headers(&[(IF_RANGE, "\"a\"")]), "\"a\""));
        for stale in [
            "\"b\"",
            "W/\"a\"",
            "a",
            "*",
            "\"a\", \"b\"",
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "",
        ] {
            assert!(
                !range_is_allowed(&headers(&[(IF_RANGE, stale)]), "\"a\""),
                "{stale}"
            );
        }
        let twice = headers(&[(IF_RANGE, "\"a\""), (IF_RANGE, "\"a\"")]);
        assert!(!range_is_allowed(&twice, "\"a\""));
    }
}
