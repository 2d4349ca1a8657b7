/// The `Content-Type` of a release's file, by its suffix. What is not known is bytes: a browser
/// must not guess, and the answers forbid it by `nosniff`.
pub(crate) fn content_type(file_name: &str) -> &'static str {
    let suffix = file_name
        .rsplit_once('.')
        .map(|(_, suffix)| suffix.to_ascii_lowercase());
    match suffix.as_deref() {
        Some("css") => "text/css; charset=utf-8",
        Some("gif") => "image/gif",
        Some("htm" | "html") => "text/html; charset=utf-8",
        Some("ico") => "image/vnd.microsoft.icon",
        Some("jpeg" | "jpg") => "image/jpeg",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("md") => "text/markdown; charset=utf-8",
        Some("pdf") => "application/pdf",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("bat" | "cfg" | "ini" | "ps1" | "py" | "sh" | "toml" | "txt" | "yaml" | "yml") => {
            "text/plain; charset=utf-8"
        }
        Some("wasm") => "application/wasm",
        Some("webp") => "image/webp",
        Some("woff") => "font/woff",
        Some("woff2") => "font/woff2",
        Some("xml") => "application/xml",
        Some("zip") => "application/zip",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn the_suffix_decides_whatever_its_case() {
        assert_eq!(content_type("index.HTML"), "text/html; charset=utf-8");
        assert_eq!(content_type("unet.safetensors"), "application/octet-stream");
        assert_eq!(content_type("LICENSE"), "application/octet-stream");
        assert_eq!(content_type("archive.tar.zip"), "application/zip");
    }
}
