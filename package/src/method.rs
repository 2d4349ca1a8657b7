//! Which files are worth compressing.

/// Suffixes of files that are compressed already, or are numbers in which Deflate finds nothing. Stored, they
/// can be fetched in part and resumed by Range, and packing them costs no more than copying.
const STORED: [&str; 64] = [
    // models
    "bin",
    "ckpt",
    "engine",
    "ggml",
    "gguf",
    "h5",
    "keras",
    "mlmodel",
    "npz",
    "onnx",
    "pb",
    "pkl",
    "plan",
    "pt",
    "pt2",
    "pth",
    "safetensors",
    "tflite",
    "trt",
    // archives and packages
    "7z",
    "apk",
    "br",
    "bz2",
    "deb",
    "egg",
    "gz",
    "jar",
    "lz4",
    "lzma",
    "msix",
    "nupkg",
    "rar",
    "rpm",
    "tgz",
    "txz",
    "whl",
    "xz",
    "zip",
    "zst",
    // pictures, sound, video
    "avif",
    "flac",
    "gif",
    "heic",
    "jpeg",
    "jpg",
    "jxl",
    "m4a",
    "m4v",
    "mkv",
    "mov",
    "mp3",
    "mp4",
    "ogg",
    "opus",
    "png",
    "webm",
    "webp",
    // fonts and documents
    "docx",
    "odt",
    "pdf",
    "pptx",
    "woff",
    "woff2",
    "xlsx",
];

/// Whether a file is stored as it is, by its suffix.
pub(crate) fn is_stored(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').is_some_and(|(_, suffix)| {
        STORED
            .iter()
            .any(|stored| suffix.eq_ignore_ascii_case(stored))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_what_is_compressed_already_are_stored() {
        for path in [
            "models/unet.safetensors",
            "a.GGUF",
            "x/y.bin",
            "a.pth",
            "a.ckpt",
            "logo.png",
            "a.JPG",
            "a.webp",
            "a.mp4",
            "a.zip",
            "a.tar.gz",
            "a.zst",
            "a.whl",
        ] {
            assert!(is_stored(path), "{path}");
        }
        for path in [
            "main.py",
            "bin",
            "a.bin/readme",
            "zip",
            "a.json",
            "app.js",
            ".binary",
        ] {
            assert!(!is_stored(path), "{path}");
        }
    }
}
