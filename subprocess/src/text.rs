/// The last bytes of a text, at most so many, beginning with a whole character.
///
/// ```
/// assert_eq!(subprocess::end_of("one\ntwo", 3), "two");
/// assert_eq!(subprocess::end_of("näh", 2), "h"); // half of the `ä` is left out
/// ```
#[must_use]
pub fn end_of(text: &str, bytes: usize) -> &str {
    let start = text.len().saturating_sub(bytes);
    &text[text.ceil_char_boundary(start)..]
}

pub(crate) fn how_it_ended(status: std::process::ExitStatus, words: &str) -> String {
    match words {
        "" => format!("ended with {status}"),
        words => format!("ended with {status}: {words}"),
    }
}
