use std::fmt;

use manifest_core::{Sha256Digest, Sha256Hasher};
use serde::{Deserialize, Serialize};

use crate::{Gpu, GpuStack};

const LENGTH: usize = 20;

/// For what a release was warmed up: 20 hexadecimal digits.
///
/// They are the first of the SHA-256 over `flash-gpu 1` and a newline, and then, each as its length in bytes in decimal digits, a
/// colon, itself, and a newline: the manifest's hash, the GPU's backend (`CUDA`), model, architecture, and the driver's version.
/// What is not known is empty. Not in it are the GPU's number, the Python and the packages.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Key(String);

impl Key {
    pub(crate) fn of(manifest_hash: Sha256Digest, gpu: &Gpu, stack: &GpuStack) -> Self {
        let mut hasher = Sha256Hasher::new();
        hasher.update(b"flash-gpu 1\n");
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        for part in [
            manifest_hash.to_string(),
            gpu.backend.to_string(),
            gpu.name.clone(),
            or_empty(&gpu.architecture),
            or_empty(&stack.driver_version),
        ] {
            hasher.update(format!("{}:{part}\n", part.len()).as_bytes());
        }
        let mut text = hasher.finalize().to_string();
        text.truncate(LENGTH);
        Self(text)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == LENGTH && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Key {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a key has 20 lower-case hexadecimal digits")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend, Vendor};

    fn stack() -> GpuStack {
        let gpu = Gpu::new(0, Vendor::Nvidia, Backend::Cuda, "NVIDIA L4").with_architecture("8.9");
        GpuStack::new("test")
            .with_driver_version("560.35.03")
            .with_gpu(gpu)
    }

    fn key(content: &str, stack: &GpuStack) -> Key {
        Key::of(Sha256Digest::of(content.as_bytes()), &stack.gpus[0], stack)
    }

    #[test]
    fn what_is_in_a_key_changes_it_and_nothing_else_does() {
        let base = key("a", &stack());
        assert_ne!(base, key("b", &stack()));
        let mut other = stack();
        other.driver_version = Some("560.35.04".into());
        assert_ne!(base, key("a", &other));
        for change in [
            |gpu: &mut Gpu| gpu.name.push('0'),
            |gpu: &mut Gpu| gpu.architecture = None,
            |gpu: &mut Gpu| gpu.backend = Backend::Rocm,
        ] {
            let mut other = stack();
            change(&mut other.gpus[0]);
            assert_ne!(base, key("a", &other));
        }
        let mut same = stack().with_cuda_version("12.6").with_note("x");
        same.gpus[0].index = 3;
        same.gpus[0].memory_used = Some(7);
        assert_eq!(base, key("a", &same));
    }

    /// Changing it makes every machine warm up again.
    #[test]
    fn keys_are_frozen() {
        assert_eq!(key("a", &stack()).as_str(), "f634773dc753f7f676f1");
    }

    #[test]
    fn only_what_is_a_key_is_read_as_one() {
        assert!(Key::parse("0123456789abcdef0123").is_some());
        for text in [
            "",
            "0123",
            "0123456789ABCDEF0123",
            "..",
            "0123456789abcdef012/",
        ] {
            assert!(Key::parse(text).is_none(), "{text}");
        }
    }
}
