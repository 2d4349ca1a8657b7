//! Packages of old files, as `pip freeze` lists them.

use serde_json::Value;

use super::draft::{Origin, SpecDraft};
use super::json::kind_of;
use super::notes::below;
use super::requirement;
use crate::text::quote;

/// What is one with the torch of a machine: its driver decides which of them work.
fn is_torch(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    let exact = [
        "torch",
        "torchvision",
        "torchaudio",
        "triton",
        "triton-windows",
        "pytorch-triton",
        "pytorch-triton-rocm",
    ];
    exact.contains(&&*name) || name.starts_with("nvidia-") && name.contains("-cu")
}

/// A list, a text of lines, or an object by name; each entry a requirement, or a name and its version.
pub(super) fn read(value: Value, field: &str, draft: &mut SpecDraft) {
    let at = below("", field);
    let mut torch = Vec::new();
    match value {
        Value::Array(values) => {
            for (index, value) in values.into_iter().enumerate() {
                let at = format!("{at}/{index}");
                match value {
                    Value::String(text) => package(&text, &at, &mut torch, draft),
                    // The reader says what is wrong with it.
                    other => draft.push("python_packages", other, Some(Origin::Pointer(at))),
                }
            }
        }
        Value::String(text) => {
            for line in text.lines() {
                package(line, &at, &mut torch, draft);
            }
        }
        Value::Object(object) => {
            for (name, value) in object {
                let at = below(&at, &name);
                let requirement = match value.as_str() {
                    None | Some("") => name,
                    Some(address) if address.contains("://") => format!("{name} @ {address}"),
                    Some(version) if version.starts_with(['=', '<', '>', '~', '!']) => {
                        format!("{name}{version}")
                    }
                    Some(version) => format!("{name}=={version}"),
                };
                package(&requirement, &at, &mut torch, draft);
            }
        }
        other => {
            let message = format!("a list is needed here, not {}", kind_of(&other));
            draft.problem(&at, message, "write a list of requirements");
        }
    }
    if !torch.is_empty() {
        let message = format!(
            "{} {} left out",
            torch.join(", "),
            if torch.len() == 1 { "is" } else { "are" }
        );
        let hint =
            "which torch fits depends on the machine; add them to `python_packages` to pin them";
        draft.warn(&at, message, hint);
    }
}

fn package(text: &str, at: &str, torch: &mut Vec<String>, draft: &mut SpecDraft) {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return;
    }
    let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || "._-".contains(letter)));
    let name = &text[..end.unwrap_or(text.len())];
    if is_torch(name) {
        torch.push(quote(text));
        return;
    }
    let address = text.split_once('@').map(|(_, address)| address.trim());
    if address.is_some_and(|address| address.starts_with("file:")) {
        let message = format!(
            "{} was installed from a folder of the old machine, and is left out",
            quote(text)
        );
        draft.warn(at, message, "add it to `python_packages` with its version");
        return;
    }
    if let Err((message, hint)) = requirement::check(text) {
        draft.warn(at, format!("{message}; it is left out"), hint);
        return;
    }
    draft.push(
        "python_packages",
        text.into(),
        Some(Origin::Pointer(at.to_owned())),
    );
}

#[cfg(test)]
mod tests {
    use super::is_torch;

    #[test]
    fn torch_is_known_by_its_names() {
        for name in [
            "torch",
            "Torch",
            "torchvision",
            "nvidia-cublas-cu12",
            "nvidia_cudnn_cu12",
            "triton",
        ] {
            assert!(is_torch(name), "{name}");
        }
        for name in ["torchsde", "pytorch-lightning", "nvidia-ml-py", "torch-x"] {
            assert!(!is_torch(name), "{name}");
        }
    }
}
