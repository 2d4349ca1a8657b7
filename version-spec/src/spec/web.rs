//! Models by `https:`: addresses of files, and the pages about them that people copy from the browser.

use url::Url;

use super::ModelSource;
use super::source_text::{FORMS, Fault, HF, civitai, fault, hugging_face_file};
use crate::text::{is_signature_field, is_token_field, quote};

/// Reads an `https:` or `http:` address.
pub(super) fn read(text: &str, warnings: &mut Vec<(String, String)>) -> Result<ModelSource, Fault> {
    let url =
        Url::parse(text).map_err(|error| Fault(format!("it is no URL: {error}"), FORMS.into()))?;
    if url.password().is_some() || !url.username().is_empty() {
        return fault(
            "it holds user information, which can be a secret",
            "write it without what stands before the `@`",
        );
    }
    if let Some((key, _)) = url.query_pairs().find(|(key, _)| is_token_field(key)) {
        let hint = "leave the field out; tokens are read from `HF_TOKEN` and `CIVITAI_TOKEN`, and sent to their own hosts only";
        return fault(format!("it holds a secret in `{key}`"), hint);
    }
    if url.query_pairs().any(|(key, _)| is_signature_field(&key)) {
        let hint = "whoever has the file can use it until then; prefer an address that lasts";
        warnings.push((
            "the address is signed, and good for a while only".into(),
            hint.into(),
        ));
    }
    if url.path().len() <= 1 && url.query().is_none() {
        return fault("it names a host, but no file there", FORMS);
    }
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    match host.strip_prefix("www.").unwrap_or(&host) {
        "huggingface.co" | "hf.co" => hugging_face_page(&url, warnings),
        "civitai.com" => civitai_page(&url, warnings),
        "github.com" => github_page(&url),
        _ => Ok(ModelSource::Https(without_fragment(url))),
    }
}

fn without_fragment(mut url: Url) -> Url {
    url.set_fragment(None);
    url
}

/// `/owner/repo/resolve/<revision>/<path>` is a file; `/blob/` in its place is a page about it.
fn hugging_face_page(
    url: &Url,
    warnings: &mut Vec<(String, String)>,
) -> Result<ModelSource, Fault> {
    let parts: Vec<String> = url
        .path_segments()
        .into_iter()
        .flatten()
        .map(decoded)
        .collect();
    let [owner, repo, kind, rest @ ..] = &*parts else {
        return fault("it is the address of a page, not of a file", HF);
    };
    let is_model = !matches!(owner.as_str(), "datasets" | "spaces" | "api");
    let (revision, path) = match rest {
        [refs, of, name, path @ ..] if refs == "refs" => (format!("refs/{of}/{name}"), path),
        [revision, path @ ..] => (revision.clone(), path),
        [] => (String::new(), &[][..]),
    };
    match kind.as_str() {
        "resolve" | "blob" if is_model => {
            let source = hugging_face_file(owner, repo, Some(&revision), &path.join("/"))?;
            if kind == "blob" {
                let message =
                    "it is the address of a page; the file that the page shows is taken".into();
                warnings.push((message, format!("write \"{source}\"")));
            }
            Ok(source)
        }
        "tree" | "blob" if is_model || kind == "tree" => {
            fault("it is the address of a page, not of a file", HF)
        }
        _ if is_model && parts.len() <= 2 => {
            fault("it is the address of a repository, not of a file", HF)
        }
        _ => Ok(ModelSource::Https(without_fragment(url.clone()))),
    }
}

/// `/models/<id>` is a page about a model; `/api/download/…` is the file.
fn civitai_page(url: &Url, warnings: &mut Vec<(String, String)>) -> Result<ModelSource, Fault> {
    let Some(rest) = url.path().strip_prefix("/models/") else {
        return Ok(ModelSource::Https(without_fragment(url.clone())));
    };
    let model = rest.split('/').next().unwrap_or_default();
    let version = url.query_pairs().find(|(key, _)| key == "modelVersionId");
    let source = match &version {
        Some((_, version)) => civitai(&format!("models/{model}@{version}")),
        None => civitai(&format!("models/{model}")),
    }?;
    let message = "it is the address of a page; the model that the page shows is taken".into();
    warnings.push((message, format!("write \"{source}\"")));
    Ok(source)
}

/// `/owner/repo/blob/<ref>/<path>` is a page about a file, `/raw/` in its place the file.
fn github_page(url: &Url) -> Result<ModelSource, Fault> {
    let mut parts = url.path_segments().into_iter().flatten().skip(2);
    if parts.next() == Some("blob") && parts.count() > 1 {
        let file = url.as_str().replacen("/blob/", "/raw/", 1);
        return fault(
            "it is the address of a page, not of a file",
            format!("write {}", quote(&file)),
        );
    }
    Ok(ModelSource::Https(without_fragment(url.clone())))
}

/// A part of a path without percent-encoding. What is no text afterwards stays as it is.
pub(super) fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after
            .get(..2)
            .and_then(|digits| str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| part.to_owned())
}
