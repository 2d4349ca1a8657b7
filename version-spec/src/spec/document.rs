//! A spec as it is written: normalised, and the same bytes for the same spec. The JSON Schema is made from these types.

use std::collections::BTreeMap;

use manifest_core::{Sha256Digest, canonical_json};
use serde::Serialize;
use serde_json::Value;

use super::{CustomNode, GitSource, InstallRequirements, ModelEntry, Options, Spec, TorchChange};
use crate::Revision;

/// A ComfyUI environment: `versions/<version_id>.json`.
#[derive(Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "Spec")
)]
pub(super) struct SpecDocument {
    /// The version of the format: 2.
    #[cfg_attr(feature = "schema", schemars(range(min = 2, max = 2)))]
    schema_version: u32,
    /// The id of the version, as the file is named: letters, digits, `.`, `_`, `+` and `-`.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$"))
    )]
    version_id: String,
    /// ComfyUI itself.
    comfy: SourceDocument,
    /// The custom nodes. No two may have one name.
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_nodes: Option<Vec<NodeDocument>>,
    /// The models. No two may have one name or one target.
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<Vec<ModelDocument>>,
    /// Python packages beside the requirements of ComfyUI and the nodes, as PEP 508 writes them; no options.
    #[serde(skip_serializing_if = "Option::is_none")]
    python_packages: Option<Vec<String>>,
    /// Variables for the process of ComfyUI. `$NAME` and `${NAME}` mean other variables, `$COMFY_HOME` or `$MODELS_DIR`; `$$` is a
    /// dollar sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<BTreeMap<String, String>>,
    /// How to go about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<OptionsDocument>,
}

/// A repository, and which commit of it.
#[derive(Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "Source")
)]
struct SourceDocument {
    /// The repository: an `https:`, `ssh:`, `git:` or `file:` URL, `git@host:path`, or an absolute local path. `<repo>@<ref>` names a
    /// ref, too.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    repo: String,
    /// The branch or tag. Without one, and without a commit, `HEAD` is meant. Beside a commit it decides nothing.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// The commit: 40 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[0-9a-fA-F]{40}$")))]
    commit: Option<String>,
}

/// A custom node.
#[derive(Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "CustomNode")
)]
struct NodeDocument {
    #[serde(flatten)]
    source: SourceDocument,
    /// The name of its folder below `custom_nodes/`; without one, the last part of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether its Python requirements are installed; they are if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    install_requirements: Option<bool>,
    /// Where it lies: `$COMFY_HOME/custom_nodes/<name>`, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_dir: Option<String>,
    /// Whether its requirements may replace the torch of the base; they may not if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_torch: Option<bool>,
}

/// A model. `target_subdir` or `target_path` is needed.
#[derive(Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "Model")
)]
struct ModelDocument {
    /// Where it is had from: `https://…`, `hf://owner/repo[@revision]/path`, `civitai://models/<id>`, `civitai://model-versions/<id>`,
    /// `file:///…`, `s3://bucket/key` or `gs://bucket/key`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    source: String,
    /// The name of the file; with `target_path`, any name that no other model has.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The folder below `$MODELS_DIR`, e.g. `loras`.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_subdir: Option<String>,
    /// The file below `$MODELS_DIR`, e.g. `$MODELS_DIR/loras/x.safetensors`.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_path: Option<String>,
    /// What its content must be: `sha256:` and 64 hexadecimal digits, or `md5:` and 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(regex(
            pattern = r"^([sS][hH][aA]256:[0-9a-fA-F]{64}|[mM][dD]5:[0-9a-fA-F]{32})$"
        ))
    )]
    checksum: Option<String>,
}

/// How to go about it.
#[derive(Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "Options")
)]
struct OptionsDocument {
    /// Use no network.
    #[serde(skip_serializing_if = "Option::is_none")]
    offline: Option<bool>,
    /// Leave the models alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    skip_models: Option<bool>,
}

fn unless_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

impl From<&Spec> for SpecDocument {
    fn from(spec: &Spec) -> Self {
        Self {
            schema_version: 2,
            version_id: spec.version_id.to_string(),
            comfy: (&spec.comfy).into(),
            custom_nodes: unless_empty(spec.custom_nodes.iter().map(NodeDocument::from).collect()),
            models: unless_empty(spec.models.iter().map(ModelDocument::from).collect()),
            python_packages: unless_empty(spec.python_packages.clone()),
            env: (!spec.env.is_empty()).then(|| spec.env.clone()),
            options: (spec.options != Options::default()).then_some(OptionsDocument {
                offline: Some(spec.options.offline),
                skip_models: Some(spec.options.skip_models),
            }),
        }
    }
}

impl From<&GitSource> for SourceDocument {
    fn from(source: &GitSource) -> Self {
        let (reference, commit) = match &source.revision {
            Revision::Head => (None, None),
            Revision::Ref(name) => (Some(name.to_string()), None),
            Revision::Commit(commit) => (
                source.named_ref.as_ref().map(ToString::to_string),
                Some(commit.to_string()),
            ),
        };
        Self {
            repo: source.repo.without_ref(),
            reference,
            commit,
        }
    }
}

impl From<&CustomNode> for NodeDocument {
    fn from(node: &CustomNode) -> Self {
        Self {
            source: (&node.source).into(),
            name: Some(node.name.to_string()),
            install_requirements: Some(node.requirements == InstallRequirements::Install),
            target_dir: None,
            allow_torch: (node.torch == TorchChange::Allow).then_some(true),
        }
    }
}

impl From<&ModelEntry> for ModelDocument {
    fn from(model: &ModelEntry) -> Self {
        // The name of a file may have a dollar sign in it, which is none of a variable.
        let target = model.target.as_str().replace('$', "$$");
        Self {
            source: model.source.to_text(),
            name: Some(model.name.to_string()),
            target_subdir: None,
            target_path: Some(format!("$MODELS_DIR/{target}")),
            checksum: model.checksum.map(|checksum| checksum.to_string()),
        }
    }
}

impl Spec {
    /// The spec as a file: normalised, indented, and always the same bytes for the same spec. [`Spec::parse`] reads it back.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(&SpecDocument::from(self))
            .expect("texts and flags are always JSON");
        bytes.push(b'\n');
        bytes
    }

    /// The SHA-256 of what the spec means: canonical JSON (RFC 8785) of the normalised spec. Two files that mean the same have one
    /// digest, however they are written.
    ///
    /// The options are left out, and the ref that stands beside a commit: a lock stays good when they change. The order of
    /// `custom_nodes` and `models` counts, that of `python_packages` does not.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        let mut document = SpecDocument::from(self);
        document.options = None;
        if let Some(packages) = &mut document.python_packages {
            packages.sort_unstable();
        }
        let nodes = document
            .custom_nodes
            .iter_mut()
            .flatten()
            .map(|node| &mut node.source);
        for source in nodes.chain([&mut document.comfy]) {
            if source.commit.is_some() {
                source.reference = None;
            }
        }
        let value: Value =
            serde_json::to_value(&document).expect("texts and flags are always JSON");
        let canonical = canonical_json(&value).expect("its only number is 2");
        Sha256Digest::of(&canonical)
    }
}
