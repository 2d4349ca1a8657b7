//! Texts of others in our messages: short, on one line, and without secrets.

use std::borrow::Cow;

const SHOWN: usize = 120;

/// A text for a message: quoted, escaped, short however long it is, and without what may be a secret in it.
pub(crate) fn quote(text: &str) -> String {
    let text = without_secrets(text);
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("{shown:?}{more}")
}

/// The text with the user information of addresses, and the values of query fields that carry credentials, replaced by `…`.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains("://") && !text.contains('=') {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean += &without_secret_fields(before);
        let end = after
            .find(|letter: char| "/?#".contains(letter) || letter.is_whitespace())
            .unwrap_or(after.len());
        let (authority, after) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) if user != "git" => clean = clean + "…@" + host,
            _ => clean += authority,
        }
        rest = after;
    }
    clean += &without_secret_fields(rest);
    Cow::Owned(clean)
}

fn without_secret_fields(text: &str) -> Cow<'_, str> {
    if !text.contains('=') {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for piece in text.split_inclusive(['?', '&', ' ', '#', ';', '\n']) {
        match piece.split_once('=') {
            Some((key, value)) if is_secret_field(key) && !value.is_empty() => {
                let end = value.len()
                    - value
                        .trim_end_matches(['?', '&', ' ', '#', ';', '\n'])
                        .len();
                clean = clean + key + "=…" + &value[value.len() - end..];
            }
            _ => clean += piece,
        }
    }
    Cow::Owned(clean)
}

/// Whether a query field holds a credential that is good for more than this one address.
pub(crate) fn is_token_field(key: &str) -> bool {
    matches!(
        key.to_ascii_lowercase().as_str(),
        "token"
            | "access_token"
            | "auth_token"
            | "private_token"
            | "api_token"
            | "hf_token"
            | "apikey"
            | "api_key"
            | "api-key"
            | "authorization"
            | "password"
            | "secret"
    )
}

/// Whether a query field holds a signature that opens this one address for a while.
pub(crate) fn is_signature_field(key: &str) -> bool {
    matches!(
        key.to_ascii_lowercase().as_str(),
        "x-amz-signature"
            | "x-amz-credential"
            | "x-amz-security-token"
            | "x-goog-signature"
            | "x-goog-credential"
            | "googleaccessid"
            | "signature"
            | "sig"
            | "key-pair-id"
            | "policy"
    )
}

fn is_secret_field(key: &str) -> bool {
    is_token_field(key) || is_signature_field(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out() {
        for (text, clean) in [
            ("https://h/x", "https://h/x"),
            ("https://user:token@h/x@main", "https://…@h/x@main"),
            ("https://token@h:8/x", "https://…@h:8/x"),
            ("ssh://git@h/x", "ssh://git@h/x"),
            ("git@h:x/y", "git@h:x/y"),
            (
                "a https://u:p@h b https://q@i/",
                "a https://…@h b https://…@i/",
            ),
            (
                "https://h/x?a=1&token=abc&b=2",
                "https://h/x?a=1&token=…&b=2",
            ),
            ("https://h/x?Api_Key=abc", "https://h/x?Api_Key=…"),
            (
                "https://h/x?X-Amz-Signature=abc#d",
                "https://h/x?X-Amz-Signature=…#d",
            ),
            ("https://a@b@h/", "https://…@h/"),
            ("x=1", "x=1"),
        ] {
            assert_eq!(without_secrets(text), clean);
        }
    }

    #[test]
    fn quotes_are_short_and_on_one_line() {
        assert_eq!(quote("a\nb\"c"), "\"a\\nb\\\"c\"");
        assert_eq!(quote(&"é".repeat(1000)).chars().count(), SHOWN + 3);
    }
}
