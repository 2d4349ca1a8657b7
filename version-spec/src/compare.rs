//! What differs between two environments?

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use durable_fs::FileKind;
use serde::Serialize;

use crate::state::HomeState;
use crate::{
    CancellationToken, Comfy, Error, ErrorKind, Home, Lock, ModelState, Spec, WantedModel,
};

/// What an environment consists of: as a lock says, or as it was found in a home.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Environment {
    /// The commit of ComfyUI, with ` (changed)` if files of it were changed by hand.
    pub comfy: Option<String>,
    /// The commit of each node, by its name; a node that is no repository is `no repository`.
    pub nodes: BTreeMap<String, String>,
    /// The version of each package, if it is known which there are.
    pub packages: Option<BTreeMap<String, String>>,
    /// The SHA-256 of each model, by its target; `missing` if it is not there.
    pub models: BTreeMap<String, String>,
}

/// What differs between two environments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// What differs: ComfyUI, nodes, packages, models.
    pub differences: Vec<Difference>,
    /// What could not be compared, because only one of the two says it.
    pub unknown: Vec<String>,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// `comfy`, `node`, `package` or `model`.
    pub what: &'static str,
    /// Which.
    pub name: String,
    /// What the first environment has.
    pub left: Option<String>,
    /// What the second has.
    pub right: Option<String>,
}

impl Environment {
    /// What a lock says.
    #[must_use]
    pub fn of_lock(spec: Option<&Spec>, lock: &Lock) -> Self {
        let target = |source: &str| {
            let entry = spec?
                .models
                .iter()
                .find(|entry| entry.source.to_string() == source)?;
            Some(entry.target.to_string())
        };
        Self {
            comfy: Some(lock.comfy.commit.to_string()),
            nodes: lock
                .custom_nodes
                .iter()
                .map(|node| (node.name.to_string(), node.source.commit.to_string()))
                .collect(),
            packages: lock
                .python
                .as_ref()
                .map(|python| crate::lock::pinned(&python.requirements)),
            models: lock
                .models
                .iter()
                .map(|model| {
                    (
                        target(&model.source).unwrap_or_else(|| model.source.clone()),
                        model.sha256.to_string(),
                    )
                })
                .collect(),
        }
    }
}

impl Comparison {
    /// What differs from the first to the second.
    #[must_use]
    pub fn between(left: &Environment, right: &Environment) -> Self {
        let mut comparison = Self::default();
        if left.comfy != right.comfy {
            comparison.differences.push(Difference {
                what: "comfy",
                name: "ComfyUI".into(),
                left: left.comfy.clone(),
                right: right.comfy.clone(),
            });
        }
        comparison.maps("node", &left.nodes, &right.nodes);
        match (&left.packages, &right.packages) {
            (Some(left), Some(right)) => comparison.maps("package", left, right),
            (None, None) => {}
            _ => comparison
                .unknown
                .push("the packages of one of the two are not known".into()),
        }
        comparison.maps("model", &left.models, &right.models);
        comparison
    }

    /// Whether nothing differs, as far as it is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    fn maps(
        &mut self,
        what: &'static str,
        left: &BTreeMap<String, String>,
        right: &BTreeMap<String, String>,
    ) {
        let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        for name in names {
            let (left, right) = (left.get(name), right.get(name));
            if left != right {
                self.differences.push(Difference {
                    what,
                    name: name.clone(),
                    left: left.cloned(),
                    right: right.cloned(),
                });
            }
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, found) in self.differences.iter().enumerate() {
            if number > 0 {
                formatter.write_str("\n")?;
            }
            let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".into());
            write!(
                formatter,
                "{} {}: {} | {}",
                found.what,
                found.name,
                side(&found.left),
                side(&found.right)
            )?;
        }
        Ok(())
    }
}

impl Comfy {
    /// What is really in a home: commits and changes as git sees them, the installed packages, and the models of its version, all of them
    /// read.
    ///
    /// # Errors
    /// `NotFound` if there is no such folder; those of [`Git::examine`](crate::Git::examine), `Damaged`, `PermissionDenied`, `Io`.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    pub async fn environment(
        &self,
        home: &Home,
        cancel: &CancellationToken,
    ) -> Result<Environment, Error> {
        let folder = self.0.disk.open_dir(home.path()).map_err(|error| {
            let message = format!("{} cannot be opened", home.path().display());
            if error.is_not_found() {
                Error::new(ErrorKind::NotFound, message).with_source(error)
            } else {
                Error::disk(message, error)
            }
        })?;
        let state = HomeState::load(&folder)?;
        let mut found = Environment::default();
        let commit = |commit: &crate::CommitId, is_changed: bool| {
            if is_changed {
                format!("{commit} (changed)")
            } else {
                commit.to_string()
            }
        };
        found.comfy = match (&state, self.0.git.examine(home.path(), cancel).await) {
            (
                Some(HomeState {
                    core: Some(core), ..
                }),
                Ok(checked_out),
            ) => {
                let damaged = crate::realize::damage(&folder, core);
                let is_changed = damaged.is_ok_and(|damaged| !damaged.is_empty());
                Some(commit(&checked_out.commit, is_changed))
            }
            (_, Ok(checked_out)) => {
                Some(commit(&checked_out.commit, !checked_out.changed.is_empty()))
            }
            (_, Err(error)) if error.kind() == ErrorKind::Git => None,
            (_, Err(error)) => return Err(error),
        };
        if let Ok(nodes) = folder.open_dir("custom_nodes") {
            let entries = nodes
                .entries()
                .map_err(|error| Error::disk("the nodes cannot be listed", error))?;
            for entry in entries {
                let name = entry.name.to_string_lossy().into_owned();
                let path = nodes.path().join(&entry.name);
                if !matches!(entry.kind, FileKind::Dir | FileKind::Symlink)
                    || name.starts_with(['.', '_'])
                    || !path.is_dir()
                {
                    continue;
                }
                let text = if path.join(".git").exists() {
                    let checked_out = self.0.git.examine(&path, cancel).await?;
                    commit(&checked_out.commit, !checked_out.changed.is_empty())
                } else {
                    "no repository".into()
                };
                found.nodes.insert(name, text);
            }
        }
        let venv = home.path().join(".venv");
        if venv.exists() {
            let installed = self.0.python.installed(&venv, cancel).await?;
            found.packages = Some(installed.into_iter().collect());
        }
        let spec = state
            .and_then(|state| self.spec(&state.version_id).ok())
            .map(|parsed| parsed.spec);
        if let Some(spec) = spec {
            let wanted = WantedModel::all(&spec, None);
            let states = self.0.model_store(&spec).verify(&wanted, cancel).await?;
            for (wanted, state) in wanted.iter().zip(states) {
                let text = match state {
                    ModelState::Right { sha256 }
                    | ModelState::Unpinned { sha256 }
                    | ModelState::Wrong { actual: sha256 } => sha256.to_string(),
                    ModelState::Missing => "missing".into(),
                    ModelState::Unreadable(why) => format!("unreadable: {why}"),
                };
                found.models.insert(wanted.entry().target.to_string(), text);
            }
        }
        Ok(found)
    }
}
