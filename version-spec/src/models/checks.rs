//! What a file must not be whose digest nobody gave.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use manifest_core::ReleasePath;
use serde_json::Value;

use crate::{Error, ErrorKind};

/// Enough to tell what a file is.
const HEAD: u64 = 1024;
/// What the format allows for a header.
const LARGEST_HEADER: u64 = 100 << 20;

/// Files that are text may be any.
const TEXTS: [&str; 6] = ["html", "htm", "xhtml", "xml", "md", "txt"];

/// What came instead of a model: nothing, a web page, a pointer, a part. `None` if it may be one. Blocks.
pub(super) fn fault(
    file: &mut File,
    size: u64,
    target: &ReleasePath,
) -> Result<Option<String>, Error> {
    let ending = Path::new(target.as_str())
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    if size == 0 {
        return Ok(Some("it gives an empty file instead of a model".into()));
    }
    let mut head = Vec::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.take(HEAD).read_to_end(&mut head));
    read.map_err(|error| {
        Error::new(ErrorKind::Io, "what was fetched cannot be read").with_source(error)
    })?;
    if !TEXTS.contains(&ending.as_str()) && is_web_page(&head) {
        let fault = "it gives a web page instead of a model, probably one that asks to log in or to accept a licence";
        return Ok(Some(fault.into()));
    }
    if head.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Ok(Some(
            "it gives the Git LFS pointer of a model instead of the model".into(),
        ));
    }
    match ending.as_str() {
        "safetensors" | "sft" => Ok(fault_of_safetensors(file, size)),
        _ => Ok(None),
    }
}

fn is_web_page(head: &[u8]) -> bool {
    let head = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    let starts = |with: &str| {
        head.get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
    };
    starts("<!doctype html") || starts("<html") || starts("<head")
}

/// Eight bytes say how long the header is, which says where the last tensor ends: <https://github.com/huggingface/safetensors#format>.
/// `None` also where that cannot be told.
fn fault_of_safetensors(file: &mut File, size: u64) -> Option<String> {
    let short = |needs: u64| {
        Some(format!(
            "it gives only {size} bytes of a model that has at least {needs}"
        ))
    };
    let mut length = [0; 8];
    if size < 8 {
        return short(8);
    }
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    if length > LARGEST_HEADER {
        return Some("it gives something else than a model: it is no safetensors file".into());
    }
    if size < 8 + length {
        return short(8 + length);
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).ok()?;
    let header: Value = match serde_json::from_slice(&header) {
        Ok(header @ Value::Object(_)) => header,
        _ => return Some("it gives something else than a model: it is no safetensors file".into()),
    };
    let ends = header
        .as_object()?
        .values()
        .filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    let needs = ends.max().unwrap_or(0).saturating_add(8 + length);
    if size < needs { short(needs) } else { None }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn fault_in(bytes: &[u8], target: &str) -> Option<String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        fault(&mut file, bytes.len() as u64, &target.parse().unwrap()).unwrap()
    }

    fn safetensors(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![1; data]);
        bytes
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let header =
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"x":"y"}}"#;
        for (bytes, target, says) in [
            (b"weights".to_vec(), "loras/x.ckpt", None),
            (b"".to_vec(), "loras/x.ckpt", Some("empty")),
            (
                b"\xef\xbb\xbf\n <!DocType HTML><p>".to_vec(),
                "loras/x.ckpt",
                Some("web page"),
            ),
            (
                b"<html lang=x>".to_vec(),
                "loras/x.safetensors",
                Some("web page"),
            ),
            (b"<html lang=x>".to_vec(), "loras/x.html", None),
            (
                b"version https://git-lfs.github.com/spec/v1\noid".to_vec(),
                "a/x.bin",
                Some("Git LFS"),
            ),
            (safetensors(header, 8), "a/x.safetensors", None),
            (safetensors(header, 7), "a/x.safetensors", Some("only")),
            (
                safetensors(header, 8)[..40].to_vec(),
                "a/x.safetensors",
                Some("only"),
            ),
            (b"1234".to_vec(), "a/x.safetensors", Some("only")),
            (
                safetensors("nonsense", 8),
                "a/x.safetensors",
                Some("no safetensors"),
            ),
            (vec![0xff; 64], "a/x.SFT", Some("no safetensors")),
            (safetensors(header, 7), "a/x.ckpt", None),
        ] {
            let fault = fault_in(&bytes, target);
            match says {
                None => assert_eq!(fault, None, "{target}"),
                Some(says) => assert!(
                    fault.as_ref().is_some_and(|fault| fault.contains(says)),
                    "{target}: {fault:?}"
                ),
            }
        }
    }
}
