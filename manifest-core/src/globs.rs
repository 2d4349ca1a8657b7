use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::path::collision_key;
use crate::{Error, ErrorKind, Limits};

/// The `ignore_globs` of a manifest that names none: runtime and user scope.
pub const DEFAULT_IGNORE_GLOBS: [&str; 10] = [
    "venv/**",
    ".venv/**",
    "cache/**",
    "user_data/**",
    "logs/**",
    "*.log",
    ".env",
    "config.local.*",
    "__pycache__/**",
    "*.pyc",
];

/// Bytes of all globs of a manifest. Compiling them takes time and memory in proportion.
const MAX_TOTAL_LENGTH: usize = 64 * 1024;

/// Folders of runtime and user scope at the root of a release.
const SCOPE_FOLDERS: [&str; 5] = ["venv", ".venv", "cache", "user_data", "logs"];

/// A compiled set of ignore globs.
///
/// A pattern without `/` matches the name of a file or folder at any depth, a pattern with one is
/// anchored at the root of the release (as in gitignore); `*` and `?` stop at `/`, `**` does not.
///
/// ```
/// use manifest_core::IgnoreGlobs;
///
/// let globs = IgnoreGlobs::new(["cache/**", "*.log"])?;
/// assert!(globs.is_match("cache/model.bin") && globs.is_match("deep/down/run.log"));
/// assert!(!globs.is_match("src/cache/lru.py"));
/// # Ok::<(), manifest_core::Error>(())
/// ```
#[derive(Clone)]
pub struct IgnoreGlobs {
    patterns: Vec<String>,
    set: GlobSet,
}

impl IgnoreGlobs {
    /// Compiles patterns, within the default [`Limits`].
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a pattern that is too long or matches everything, or for too many
    /// of them; [`ErrorKind::Manifest`] for one that cannot be parsed.
    pub fn new(patterns: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, Error> {
        let patterns = patterns.into_iter().map(Into::into).collect();
        Self::within(patterns, &Limits::default())
    }

    pub(crate) fn within(patterns: Vec<String>, limits: &Limits) -> Result<Self, Error> {
        if patterns.len() > limits.max_globs {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "{} globs are more than the {} allowed",
                    patterns.len(),
                    limits.max_globs
                ),
            )
            .at("/ignore_globs"));
        }
        let mut set = GlobSetBuilder::new();
        let mut total = 0;
        for (index, pattern) in patterns.iter().enumerate() {
            compile(pattern, limits, &mut set)
                .map_err(|error| error.at(format!("/ignore_globs/{index}")))?;
            total += pattern.len();
            if total > MAX_TOTAL_LENGTH {
                let text = format!("the globs have more than {MAX_TOTAL_LENGTH} bytes together");
                return Err(Error::new(ErrorKind::Limit, text).at("/ignore_globs"));
            }
        }
        let set = set.build().map_err(|error| {
            Error::new(ErrorKind::Limit, "the globs are too complex together")
                .with_source(error)
                .at("/ignore_globs")
        })?;
        Ok(Self { patterns, set })
    }

    /// Whether a path relative to the release, with `/`, is matched, by itself or through a folder
    /// above it.
    #[must_use]
    pub fn is_match(&self, path: &str) -> bool {
        self.set.is_match(path)
    }

    /// The patterns as written.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }
}

/// Whether a pattern may stand in a manifest.
#[cfg(feature = "schema")]
pub(crate) fn check(pattern: &str, limits: &Limits) -> Result<(), Error> {
    compile(pattern, limits, &mut GlobSetBuilder::new())
}

fn compile(pattern: &str, limits: &Limits, set: &mut GlobSetBuilder) -> Result<(), Error> {
    if pattern.len() > limits.max_glob_length {
        return Err(Error::new(
            ErrorKind::Limit,
            format!(
                "a glob of {} bytes is longer than the {} allowed",
                pattern.len(),
                limits.max_glob_length
            ),
        ));
    }
    let too_complex = |error: globset::Error| {
        let text = format!("the glob {pattern:?} is too complex");
        Error::new(ErrorKind::Limit, text).with_source(error)
    };
    let forms = if pattern.contains('/') {
        vec![pattern.to_owned()]
    } else {
        vec![format!("**/{pattern}"), format!("**/{pattern}/**")]
    };
    for form in forms {
        let glob = GlobBuilder::new(&form)
            .literal_separator(true)
            .build()
            .map_err(|error| match error.kind() {
                globset::ErrorKind::TooManyNestedAlternates => too_complex(error),
                _ => Error::new(ErrorKind::Manifest, format!("{pattern:?} is not a glob"))
                    .with_source(error),
            })?;
        // Not `compile_matcher`, which panics on a pattern that no automaton can hold.
        let matcher = GlobSet::builder().add(glob.clone()).build();
        let matcher = matcher.map_err(too_complex)?;
        if ["probe", "probe/probe"]
            .iter()
            .any(|path| matcher.is_match(path))
            && matcher.is_match("other.file/x.y")
        {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("the glob {pattern:?} matches every file; name what is to be ignored"),
            ));
        }
        set.add(glob);
    }
    Ok(())
}

impl Default for IgnoreGlobs {
    fn default() -> Self {
        Self::new(DEFAULT_IGNORE_GLOBS).expect("the default globs are tested to compile")
    }
}

impl PartialEq for IgnoreGlobs {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for IgnoreGlobs {}

impl fmt::Debug for IgnoreGlobs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("IgnoreGlobs")
            .field(&self.patterns)
            .finish()
    }
}

/// Whether a path belongs to runtime or user scope: it is never in a manifest, and an update never
/// touches it, whatever the manifest's globs say.
///
/// These are `venv/`, `.venv/`, `cache/`, `user_data/` and `logs/` at the root; `__pycache__/`,
/// `.env`, `config.local.*` and `*.log` anywhere. Case does not count: on Windows and macOS
/// `Cache/` is the cache.
#[must_use]
pub fn is_runtime_or_user_scope(path: &str) -> bool {
    let path = &*collision_key(path);
    let first = path.split('/').next().unwrap_or(path);
    let is_file_at_root = first.len() == path.len();
    if !is_file_at_root && SCOPE_FOLDERS.contains(&first) {
        return true;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    path.split('/').any(|component| component == "__pycache__")
        || name == ".env"
        || name.starts_with("config.local.")
        || name.strip_suffix(".log").is_some()
}

/// Whether a file is a model by its suffix: such files are always part of a release.
#[must_use]
pub fn is_model(path: &str) -> bool {
    const SUFFIXES: [&str; 5] = ["gguf", "safetensors", "bin", "pth", "ckpt"];
    path.rsplit_once('.').is_some_and(|(_, suffix)| {
        SUFFIXES
            .iter()
            .any(|model| suffix.eq_ignore_ascii_case(model))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_match_runtime_and_user_scope() {
        let globs = IgnoreGlobs::default();
        for path in [
            "venv/bin/python",
            "cache/x",
            "a/b.log",
            ".env",
            "sub/.env",
            "config.local.json",
            "x/y.pyc",
            "user_data/a/b",
        ] {
            assert!(globs.is_match(path), "{path}");
        }
        for path in [
            "src/main.py",
            "src/cache/lru.py",
            "env",
            "config.json",
            "catalog",
            "models/x.bin",
        ] {
            assert!(!globs.is_match(path), "{path}");
        }
    }

    #[test]
    fn a18_hostile_globs_are_refused() {
        let kind = |pattern: &str| IgnoreGlobs::new([pattern]).unwrap_err().kind();
        assert_eq!(kind(&"a".repeat(100_000)), ErrorKind::Limit);
        for catch_all in ["*", "**", "**/*", "*/**", "**/**", "?*"] {
            assert_eq!(kind(catch_all), ErrorKind::Limit, "{catch_all}");
        }
        assert_eq!(kind("[z"), ErrorKind::Manifest);
        let together = vec!["{a,b}".repeat(200); 100];
        assert_eq!(
            IgnoreGlobs::new(together).unwrap_err().kind(),
            ErrorKind::Limit
        );
        assert_eq!(
            IgnoreGlobs::new(vec!["a"; 1_001]).unwrap_err().kind(),
            ErrorKind::Limit
        );
    }

    #[test]
    fn scopes_do_not_depend_on_globs() {
        for path in [
            "venv/x",
            "cache/a.bin",
            "a/__pycache__/b",
            "deep/.env",
            "run.log",
            "config.local.toml",
            "User_Data/settings.json",
            "VENV/x",
            "a/__PyCache__/b",
            "deep/.ENV",
            "Run.LOG",
        ] {
            assert!(is_runtime_or_user_scope(path), "{path}");
        }
        for path in [
            "cache",
            "src/venv/x",
            "catalog.py",
            "benchmark_log.txt",
            ".envrc",
            "logs.txt",
        ] {
            assert!(!is_runtime_or_user_scope(path), "{path}");
        }
        assert!(
            is_model("a/B.SafeTensors")
                && is_model("x.gguf")
                && !is_model("safetensors")
                && !is_model("x.pt")
        );
    }
}
