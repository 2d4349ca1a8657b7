use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::{Error, ErrorKind};

/// A set of patterns that takes for ever to compile.
const MAX_PATTERNS: usize = 1_000;
const MAX_TOTAL_LENGTH: usize = 64 * 1024;
/// Bytes of a pattern or path in a message.
const SHOWN: usize = 200;
const FIELD: &str = "flash_gpu_config.cache_artifacts";

/// The `cache_artifacts` of a manifest: paths below the release's folder or the root. `*` and `?` stop at `/`, `**` does not.
///
/// They are only ever compared with names that were found, never opened: whatever one says, it does not lead anywhere.
#[derive(Clone)]
pub(crate) struct Patterns {
    texts: Vec<String>,
    set: GlobSet,
}

impl Patterns {
    pub(crate) fn new(texts: &[String]) -> Result<Self, Error> {
        let refused = |index: usize, why: String| {
            let text = format!("{FIELD}[{index}] is refused: {why}");
            Error::new(ErrorKind::Manifest, text)
        };
        let total: usize = texts.iter().map(String::len).sum();
        if texts.len() > MAX_PATTERNS || total > MAX_TOTAL_LENGTH {
            let text = format!(
                "{FIELD} has more than {MAX_PATTERNS} patterns, or more than {MAX_TOTAL_LENGTH} bytes together"
            );
            return Err(Error::new(ErrorKind::Manifest, text));
        }
        let mut set = GlobSetBuilder::new();
        for (index, text) in texts.iter().enumerate() {
            check(text).map_err(|why| refused(index, why))?;
            let glob = GlobBuilder::new(text).literal_separator(true).build();
            // The error's own text has the whole pattern in it.
            let glob = glob.map_err(|error| {
                let why = format!("\"{}\" is no pattern: {}", shown(text), error.kind());
                refused(index, why)
            })?;
            // By itself, so that the error names the one that no automaton can hold.
            let alone = GlobSet::builder().add(glob.clone()).build();
            alone.map_err(|error| {
                let why = shown(&error.kind().to_string());
                refused(index, format!("it is too complex: {why}"))
            })?;
            set.add(glob);
        }
        let set = set.build().map_err(|error| {
            let why = shown(&error.kind().to_string());
            let text = format!("{FIELD}: the patterns are too complex together: {why}");
            Error::new(ErrorKind::Manifest, text)
        })?;
        Ok(Self {
            texts: texts.to_vec(),
            set,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Which patterns match a path, by their numbers.
    pub(crate) fn matches(&self, path: &str) -> Vec<usize> {
        self.set.matches(path)
    }
}

/// As it goes into a message: not all of it, if it is long.
pub(crate) fn shown(text: &str) -> String {
    let end = subprocess::end_of(text, SHOWN);
    let cut = if end.len() < text.len() { "…" } else { "" };
    format!("{cut}{}", end.escape_debug())
}

/// What names something outside is a mistake or an attack, and matches nothing anyway.
fn check(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.contains('\\') || text.chars().any(char::is_control) {
        return Err(format!(
            "\"{}\" has a backslash or a control character",
            shown(text)
        ));
    }
    if text.starts_with('/') || text.get(1..2) == Some(":") {
        return Err(format!("\"{}\" is absolute", shown(text)));
    }
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(format!(
            "\"{}\" has an empty part, `.` or `..`",
            shown(text)
        ));
    }
    Ok(())
}

impl fmt::Debug for Patterns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Patterns")
            .field(&self.texts)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Result<Patterns, Error> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Patterns::new(&texts)
    }

    #[test]
    fn stars_stop_at_slashes_and_double_stars_do_not() {
        let found = patterns(&["cache/**/*.gguf", "cache/*.bin", "cache/one/?.pt"]).unwrap();
        assert_eq!(found.matches("cache/a.gguf"), [0]);
        assert_eq!(found.matches("cache/a/b/c.gguf"), [0]);
        assert_eq!(found.matches("cache/a.bin"), [1]);
        assert_eq!(found.matches("cache/one/x.pt"), [2]);
        for path in [
            "other/a.gguf",
            "cache/a/b.bin",
            "a/cache/a.bin",
            "cache/one/xy.pt",
        ] {
            assert_eq!(found.matches(path), [0_usize; 0], "{path}");
        }
    }

    #[test]
    fn patterns_that_lead_outside_are_refused() {
        for text in [
            "../x",
            "cache/../../x",
            "/etc/passwd",
            "C:/x",
            "c:x",
            r"cache\x",
            "",
            "./x",
            "a//b",
            "a/",
            "cache/\0",
            "cache/\n*",
        ] {
            let error = patterns(&["cache/ok", text]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Manifest, "{text:?}");
            assert!(error.to_string().contains("cache_artifacts[1]"), "{error}");
        }
    }

    #[test]
    fn of_a_long_pattern_a_message_has_the_end() {
        for start in ["[", "/", "..", ""] {
            let text = format!("{start}{}", "x".repeat(20_000));
            let message = match patterns(&[&text]) {
                Err(error) => format!("{error:#}"),
                Ok(_) => shown(&text),
            };
            assert!(message.contains("…x") && message.len() < 400, "{message}");
        }
        assert_eq!(shown("cache/*\n"), "cache/*\\n");
    }

    #[test]
    fn patterns_that_cannot_be_compiled_are_refused() {
        for text in ["cache/[z", "cache/{a,b"] {
            assert_eq!(patterns(&[text]).unwrap_err().kind(), ErrorKind::Manifest);
        }
        let long = "x".repeat(MAX_TOTAL_LENGTH + 1);
        assert_eq!(patterns(&[&long]).unwrap_err().kind(), ErrorKind::Manifest);
        let many = vec!["a"; MAX_PATTERNS + 1];
        assert_eq!(patterns(&many).unwrap_err().kind(), ErrorKind::Manifest);
    }
}
