//! ComfyUI's `extra_model_paths.yaml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{Error, ErrorKind, ModelsDir, Spec};

/// The folders of models that ComfyUI knows itself.
const FOLDERS: [&str; 19] = [
    "audio_encoders",
    "checkpoints",
    "classifiers",
    "clip_vision",
    "configs",
    "controlnet",
    "diffusers",
    "diffusion_models",
    "embeddings",
    "gligen",
    "hypernetworks",
    "loras",
    "model_patches",
    "photomaker",
    "style_models",
    "text_encoders",
    "upscale_models",
    "vae",
    "vae_approx",
];

/// Folders that have an older name, under which ComfyUI reads them too.
const OLD_NAMES: [(&str, &str); 2] = [("diffusion_models", "unet"), ("text_encoders", "clip")];

/// The file that tells ComfyUI where models are: `--extra-model-paths-config`.
///
/// ```
/// use version_spec::{ExtraModelPaths, ModelsDir};
///
/// let yaml = ExtraModelPaths::new(&ModelsDir::new("/data/models")).with_folder("insightface").to_yaml()?;
/// assert!(yaml.starts_with("\"lockstep\":\n  \"base_path\": \"/data/models\"\n  \"is_default\": \"true\"\n"));
/// assert!(yaml.contains("  \"insightface\": \"insightface\"\n"));
/// assert!(yaml.contains("  \"text_encoders\": \"clip\\ntext_encoders\"\n")); // and its old name
/// # Ok::<(), version_spec::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraModelPaths {
    group: String,
    base: ModelsDir,
    folders: BTreeSet<String>,
}

impl ExtraModelPaths {
    /// ComfyUI's own folders below `models`.
    #[must_use]
    pub fn new(models: &ModelsDir) -> Self {
        Self {
            group: "lockstep".into(),
            base: models.clone(),
            folders: FOLDERS.map(str::to_owned).into(),
        }
    }

    /// What the models of a spec need: ComfyUI's own folders, and any other that one of them lies in.
    #[must_use]
    pub fn of(spec: &Spec, models: &ModelsDir) -> Self {
        let folder = |entry: &crate::ModelEntry| {
            entry
                .target
                .parent()
                .and_then(|parent| parent.split('/').next())
                .map(str::to_owned)
        };
        let mut paths = Self::new(models);
        for folder in spec.models.iter().filter_map(folder) {
            paths = paths.with_folder(folder);
        }
        paths
    }

    /// With this folder, too. An old name is the new one.
    #[must_use]
    pub fn with_folder(mut self, folder: impl Into<String>) -> Self {
        let folder = folder.into();
        let new_name = OLD_NAMES.iter().find(|(_, old)| *old == folder);
        self.folders
            .insert(new_name.map_or(folder, |(new, _)| (*new).to_owned()));
        self
    }

    /// Names the group; `lockstep` otherwise. ComfyUI ignores the name.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// The file's text: YAML 1.1 and 1.2, all values texts, and the same bytes for the same folders. ComfyUI puts each place of a
    /// default group before the ones it has, so the last of two is where it writes: the new name.
    ///
    /// # Errors
    /// `Name` if the path of the models is no Unicode: YAML cannot say it.
    pub fn to_yaml(&self) -> Result<String, Error> {
        let base = text(self.base.path())?;
        let mut fields = BTreeMap::new();
        for folder in &self.folders {
            let old = OLD_NAMES.iter().find(|(new, _)| new == folder);
            let places = old.map_or_else(|| folder.clone(), |(new, old)| format!("{old}\n{new}"));
            fields.insert(folder.as_str(), places);
        }
        let mut yaml = format!("{}:\n", scalar(&self.group));
        let mut line = |key: &str, value: &str| {
            yaml.extend(["  ", &scalar(key), ": ", &scalar(value), "\n"]);
        };
        line("base_path", base);
        line("is_default", "true");
        for (folder, places) in fields {
            line(folder, &places);
        }
        Ok(yaml)
    }
}

fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| {
        Error::new(
            ErrorKind::Name,
            format!(
                "{} is no Unicode, and ComfyUI cannot be told about it",
                path.display()
            ),
        )
        .with_hint("choose a folder of models with another path")
    })
}

/// A text in double quotes as JSON writes it, which YAML reads alike: but it wants what cannot be printed escaped, too.
fn scalar(text: &str) -> String {
    use std::fmt::Write as _;
    let json = serde_json::to_string(text).expect("a text is always JSON");
    let mut quoted = String::with_capacity(json.len());
    for letter in json.chars() {
        let is_printable = matches!(letter, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
            && !matches!(letter, '\u{2028}' | '\u{2029}');
        if is_printable {
            quoted.push(letter);
        } else {
            // All that is left is within the first plane.
            let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
        }
    }
    quoted
}
