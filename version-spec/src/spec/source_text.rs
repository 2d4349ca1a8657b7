//! The text of a model's source, and what it means.

use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use super::expand::Variables;
use super::web::{self, decoded};
use super::{CivitaiModel, ModelSource};
use crate::text::quote;
use crate::{Error, ErrorKind};

/// Longer than any address in use.
const LONGEST: usize = 4096;

/// A source, and what to warn of: a message and a hint each.
#[derive(Debug)]
pub(super) struct Understood {
    pub(super) source: ModelSource,
    pub(super) warnings: Vec<(String, String)>,
}

/// Why a text is no source, and what to write instead.
#[derive(Debug)]
pub(super) struct Fault(pub(super) String, pub(super) String);

pub(super) const FORMS: &str = "write `https://…`, `hf://owner/repo/path`, `civitai://models/<id>`, `file:///…`, `s3://bucket/key` or `gs://bucket/key`";
pub(super) const HF: &str = "write `hf://owner/repo/path` or `hf://owner/repo@revision/path`";
const CIVITAI: &str =
    "write `civitai://models/<id>`, or for one version of it `civitai://model-versions/<id>`";

pub(super) fn fault<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Fault> {
    Err(Fault(message.into(), hint.into()))
}

/// Reads a source. Variables are expanded in local paths alone.
pub(super) fn parse(text: &str, variables: &Variables) -> Result<Understood, Fault> {
    let mut warnings = Vec::new();
    let source = read(text, variables, &mut warnings).map_err(|Fault(message, hint)| {
        Fault(format!("{} is no source: {message}", quote(text)), hint)
    })?;
    Ok(Understood { source, warnings })
}

fn read(
    text: &str,
    variables: &Variables,
    warnings: &mut Vec<(String, String)>,
) -> Result<ModelSource, Fault> {
    if text.len() > LONGEST {
        return fault(format!("it is longer than {LONGEST} bytes"), FORMS);
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return fault("it has control characters, or white space at an end", FORMS);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        if text.starts_with(['/', '$']) {
            let source = local(text, variables)?;
            warnings.push((
                "a path is understood as a `file:` address".into(),
                format!("write \"{}\"", source.to_text()),
            ));
            return Ok(source);
        }
        if text.starts_with("urn:air:") {
            return fault("addresses of this kind are not known", CIVITAI);
        }
        return fault("it has no scheme", FORMS);
    };
    match scheme.to_ascii_lowercase().as_str() {
        "https" | "http" => web::read(text, warnings),
        "hf" => hugging_face(rest),
        "huggingface" => fault(
            "the scheme is written `hf`",
            format!("write {}", quote(&format!("hf://{rest}"))),
        ),
        "civitai" => civitai(rest),
        "file" => local(rest.strip_prefix("localhost").unwrap_or(rest), variables),
        "s3" => bucket(rest).map(|(bucket, key)| ModelSource::S3 { bucket, key }),
        "gs" => bucket(rest).map(|(bucket, key)| ModelSource::Gs { bucket, key }),
        "gcs" => fault(
            "the scheme is written `gs`",
            format!("write {}", quote(&format!("gs://{rest}"))),
        ),
        other => fault(format!("the scheme {} is not known", quote(other)), FORMS),
    }
}

fn hugging_face(rest: &str) -> Result<ModelSource, Fault> {
    let mut parts = rest.splitn(3, '/');
    let (Some(owner), Some(repo), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return fault("it names no file of a repository", HF);
    };
    if matches!(owner, "datasets" | "spaces" | "models") {
        let hint = "write the `https://` address of the file, or of a model `hf://owner/repo/path`";
        return fault(format!("`{owner}` is no owner of a model repository"), hint);
    }
    let (repo, revision, path) = match repo.split_once('@') {
        None => (repo, None, path),
        // References of Hugging Face itself have slashes: `refs/pr/1`.
        Some((repo, "refs")) => {
            let mut parts = path.splitn(3, '/');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(kind @ ("pr" | "convert")), Some(name), Some(path)) => {
                    (repo, Some(format!("refs/{kind}/{name}")), path)
                }
                _ => return fault("it has no revision behind `@`", HF),
            }
        }
        Some((repo, revision)) => {
            let revision = revision
                .replace("%2F", "/")
                .replace("%2f", "/")
                .replace("%25", "%");
            (repo, Some(revision), path)
        }
    };
    hugging_face_file(owner, repo, revision.as_deref(), path)
}

pub(super) fn hugging_face_file(
    owner: &str,
    repo: &str,
    revision: Option<&str>,
    path: &str,
) -> Result<ModelSource, Fault> {
    let name = |name: &str| {
        let letters = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        !name.is_empty() && !name.starts_with(['.', '-']) && name.chars().all(letters)
    };
    if !name(owner) || !name(repo) {
        return fault("it names no repository", HF);
    }
    if revision.is_some_and(|revision| revision.parse::<crate::RefName>().is_err()) {
        return fault("it has no revision behind `@`", HF);
    }
    check_key(path, HF)?;
    Ok(ModelSource::HuggingFace {
        owner: owner.to_owned(),
        repo: repo.to_owned(),
        // Every repository has its files on `main`; naming it says nothing.
        revision: revision
            .filter(|revision| *revision != "main")
            .map(str::to_owned),
        path: path.to_owned(),
    })
}

/// A key in a store: the store takes any text, but one with these is a mistake, or wants to be resolved by somebody.
fn check_key(key: &str, hint: &str) -> Result<(), Fault> {
    if key.is_empty() || key.ends_with('/') {
        return fault("it names a folder, and no file", hint);
    }
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return fault("its path has an empty part, `.` or `..`", hint);
    }
    Ok(())
}

fn bucket(rest: &str) -> Result<(String, String), Fault> {
    const HINT: &str = "write the bucket and the key: `s3://bucket/key` or `gs://bucket/key`";
    let Some((bucket, key)) = rest.split_once('/') else {
        return fault("it names no file in a bucket", HINT);
    };
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let ends = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    let fits = (3..=222).contains(&bucket.len());
    if !fits
        || !bucket.chars().all(letters)
        || !ends(bucket.chars().next())
        || !ends(bucket.chars().last())
    {
        return fault(format!("{} is no name of a bucket", quote(bucket)), HINT);
    }
    check_key(key, HINT)?;
    Ok((bucket.to_owned(), key.to_owned()))
}

pub(super) fn civitai(rest: &str) -> Result<ModelSource, Fault> {
    // `0` is no id there.
    let id = |text: &str| -> Option<u64> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .then(|| text.parse().ok())
            .flatten()
            .filter(|id| *id > 0)
    };
    let (kind, rest) = rest
        .trim_end_matches('/')
        .split_once('/')
        .unwrap_or((rest, ""));
    let version = match kind {
        "models" => match rest.split_once(['@', '?']) {
            None => {
                return id(rest)
                    .map(CivitaiModel::Newest)
                    .map(ModelSource::Civitai)
                    .map_or_else(|| fault("it has no number of a model", CIVITAI), Ok);
            }
            Some((model, version)) if id(model).is_some() => {
                version.strip_prefix("modelVersionId=").unwrap_or(version)
            }
            Some(_) => "",
        },
        "model-versions" => rest,
        _ => return fault("it names no model", CIVITAI),
    };
    match id(version) {
        Some(version) => Ok(ModelSource::Civitai(CivitaiModel::Version(version))),
        None => fault("it has no number of a version", CIVITAI),
    }
}

fn local(path: &str, variables: &Variables) -> Result<ModelSource, Fault> {
    const HINT: &str = "write the absolute path: `file:///models/x.safetensors`";
    if path.starts_with('$') {
        let expanded = variables
            .expand(path)
            .map_err(|fault| Fault(fault.message, fault.hint))?;
        if let Some(base) = expanded.base {
            let message = format!(
                "it is below `${}`, where models are put, not taken from",
                base.variable()
            );
            return fault(message, "name the place that the model comes from");
        }
        // What is expanded is a path, not an address.
        return absolute(PathBuf::from(expanded.text), HINT);
    }
    if !path.starts_with('/') {
        return fault("its path is not absolute", HINT);
    }
    let url = Url::parse(&format!("file://{path}"))
        .map_err(|error| Fault(error.to_string(), HINT.into()))?;
    if url.query().is_some() || url.fragment().is_some() {
        return fault(
            "it has a `?` or `#`",
            "write `%3F` for `?` and `%23` for `#`",
        );
    }
    let path = url
        .to_file_path()
        .map_err(|()| Fault("it names no file".into(), HINT.into()))?;
    absolute(path, HINT)
}

fn absolute(path: PathBuf, hint: &str) -> Result<ModelSource, Fault> {
    if !path.is_absolute()
        || path.file_name().is_none()
        || path.to_str().is_none_or(|path| path.ends_with('/'))
    {
        return fault("it names no file by its absolute path", hint);
    }
    Ok(ModelSource::File(path))
}

impl ModelSource {
    /// The name of the file, if the source tells.
    pub(crate) fn file_name(&self) -> Option<String> {
        let path = match self {
            Self::Https(url) => decoded(url.path_segments()?.next_back()?),
            Self::HuggingFace { path, .. } => path.clone(),
            Self::S3 { key, .. } | Self::Gs { key, .. } => key.clone(),
            Self::File(path) => path.to_str()?.to_owned(),
            Self::Civitai(_) => return None,
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        (!name.is_empty()).then(|| name.to_owned())
    }
}

/// As a spec writes it, without variables.
impl FromStr for ModelSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match parse(text, &Variables::default()) {
            Ok(understood) => Ok(understood.source),
            Err(Fault(message, hint)) => Err(Error::new(ErrorKind::Spec, message).with_hint(hint)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(text: &str) -> (String, usize) {
        let understood = parse(text, &Variables::default())
            .unwrap_or_else(|Fault(message, _)| panic!("{message}"));
        let written = understood.source.to_text();
        let again = parse(&written, &Variables::default()).unwrap();
        assert_eq!(again.source, understood.source, "{text}");
        (written, understood.warnings.len())
    }

    #[test]
    fn all_forms_are_understood() {
        for (text, written, warnings) in [
            ("https://h/a%20b.bin?x=1#y", "https://h/a%20b.bin?x=1", 0),
            ("http://h/a", "http://h/a", 0),
            (
                "https://h/a?X-Amz-Signature=1",
                "https://h/a?X-Amz-Signature=1",
                1,
            ),
            ("hf://o/r/p/x.bin", "hf://o/r/p/x.bin", 0),
            ("hf://o/r@main/x.bin", "hf://o/r/x.bin", 0),
            ("hf://o/r@v1.0/p/x", "hf://o/r@v1.0/p/x", 0),
            ("hf://o/r@refs/pr/1/p/x", "hf://o/r@refs%2Fpr%2F1/p/x", 0),
            ("hf://o/r@a%2Fb/x", "hf://o/r@a%2Fb/x", 0),
            (
                "https://huggingface.co/o/r/resolve/main/p/x%20y?download=true",
                "hf://o/r/p/x y",
                0,
            ),
            (
                "https://huggingface.co/o/r/blob/v1/p/x",
                "hf://o/r@v1/p/x",
                1,
            ),
            (
                "https://huggingface.co/datasets/o/r/resolve/main/x",
                "https://huggingface.co/datasets/o/r/resolve/main/x",
                0,
            ),
            ("civitai://models/12", "civitai://models/12", 0),
            ("civitai://models/12@34", "civitai://model-versions/34", 0),
            (
                "civitai://models/12?modelVersionId=34",
                "civitai://model-versions/34",
                0,
            ),
            (
                "civitai://model-versions/34",
                "civitai://model-versions/34",
                0,
            ),
            (
                "https://civitai.com/models/12/name",
                "civitai://models/12",
                1,
            ),
            (
                "https://civitai.com/models/12?modelVersionId=34",
                "civitai://model-versions/34",
                1,
            ),
            (
                "https://civitai.com/api/download/models/34?type=Model",
                "https://civitai.com/api/download/models/34?type=Model",
                0,
            ),
            ("file:///a/b%20c", "file:///a/b%20c", 0),
            ("file://localhost/a/b", "file:///a/b", 0),
            ("/a/b c", "file:///a/b%20c", 1),
            ("s3://bucket/a/b", "s3://bucket/a/b", 0),
            ("gs://bucket/a b", "gs://bucket/a b", 0),
            (
                "https://github.com/o/r/releases/download/v1/x",
                "https://github.com/o/r/releases/download/v1/x",
                0,
            ),
        ] {
            assert_eq!(understood(text), (written.to_owned(), warnings), "{text}");
        }
    }

    #[test]
    fn others_are_refused_with_a_hint_and_without_their_secrets() {
        for text in [
            "",
            "x.safetensors",
            "../x",
            "ftp://h/x",
            "hf://o",
            "hf://o/r",
            "hf://o/r/",
            "hf://o/r/../x",
            "hf://o/r@/x",
            "hf://o/r@-x/y",
            "hf:///r/x",
            "hf://datasets/o/r/x",
            "hf://o/r@refs/x",
            "huggingface://o/r/x",
            "civitai://12",
            "civitai://models/",
            "civitai://models/x",
            "civitai://models/0",
            "civitai://models/1@x",
            "civitai://models/x@1",
            "civitai://model-versions/",
            "urn:air:sdxl:model:civitai:1@2",
            "file://x/y",
            "file://x",
            "file:///",
            "file:///a?b",
            "$MODELS_DIR/x",
            "s3://b",
            "s3://b/k",
            "s3://bucket/",
            "s3://bu cket/k",
            "gcs://bucket/k",
            "https://h",
            "https://u:topsecret@h/x",
            "https://h/x?token=topsecret",
            "https://civitai.com/models/x",
            "https://huggingface.co/o/r",
            "https://huggingface.co/o/r/tree/main",
            "https://github.com/o/r/blob/main/x",
            "https://h/x\n",
        ] {
            let Fault(message, hint) = parse(text, &Variables::default()).expect_err(text);
            assert!(
                !hint.is_empty() && !message.contains("topsecret") && !hint.contains("topsecret"),
                "{message}; {hint}"
            );
        }
    }

    #[test]
    fn nothing_shows_a_signature() {
        let source: ModelSource = "https://h/a?X-Amz-Signature=topsecret&x=1".parse().unwrap();
        assert_eq!(source.to_string(), "https://h/a?X-Amz-Signature=…&x=1");
        assert_eq!(format!("{source:?}"), format!("ModelSource({source})"));
        assert!(source.to_text().contains("topsecret"));
    }

    #[test]
    fn a_source_names_its_file_if_it_can() {
        for (text, name) in [
            ("https://h/a/x%20y.bin?q", Some("x y.bin")),
            ("hf://o/r/p/x.bin", Some("x.bin")),
            ("s3://bucket/k", Some("k")),
            ("/a/b.bin", Some("b.bin")),
            ("https://h/a/", None),
            ("civitai://models/1", None),
        ] {
            let source: ModelSource = text.parse().unwrap();
            assert_eq!(source.file_name().as_deref(), name, "{text}");
        }
        assert_eq!(decoded("a%2zb%zz%"), "a%2zb%zz%");
    }
}
