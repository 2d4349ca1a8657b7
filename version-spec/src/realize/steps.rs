//! Each kind of step.

use std::path::Path;

use manifest_core::Sha256Digest;

use super::run::{Run, locked};
use super::{core, nodes};
use crate::comfy::blocking;
use crate::plan::{MODEL_PATHS, has_installer, python_inputs};
use crate::state::{InstallerState, OWN_FOLDER, PythonState};
use crate::{Error, ErrorKind, LockedPython, NodeName, PythonRequest, WantedModel, lock_together};

impl Run<'_> {
    pub(super) async fn fetch_comfy(&self, into: &Path) -> Result<(), Error> {
        let source = &self.facts.lock.comfy;
        self.fetch(into, source)
            .await
            .map_err(|error| error.at("/comfy"))
    }

    pub(super) async fn fetch_node(&self, name: &NodeName, into: &Path) -> Result<(), Error> {
        let index = self.index_of(name);
        let source = &self.facts.lock.custom_nodes[index].source;
        self.fetch(into, source)
            .await
            .map_err(|error| error.at(format!("/custom_nodes/{index}")))
    }

    async fn fetch(&self, into: &Path, source: &crate::LockedSource) -> Result<(), Error> {
        let _permit = self.fetches.acquire().await.expect("it is never closed");
        self.facts
            .inner
            .checkouts()
            .ensure(into, source, &self.cancel)
            .await
            .map(drop)
    }

    fn index_of(&self, name: &NodeName) -> usize {
        let index = self
            .facts
            .lock
            .custom_nodes
            .iter()
            .position(|node| node.name == *name);
        index.expect("a plan names only nodes of the lock")
    }

    pub(super) async fn bring(&self) -> Result<(), Error> {
        let checkouts = self.facts.inner.checkouts();
        let path = self.facts.comfy_checkout();
        let source = self.facts.lock.comfy.clone();
        let changed = {
            let (checkouts, path) = (checkouts.clone(), path.clone());
            blocking(move || checkouts.changed(&path)).await?
        };
        if !changed.is_empty() {
            self.warn(format!(
                "somebody wrote into {} ({}); it is fetched anew",
                path.display(),
                some(&changed)
            ));
            checkouts
                .renew(&path, &source, &self.cancel)
                .await
                .map_err(|error| error.at("/comfy"))?;
        }
        let (home, disk, cancel, state) = (
            self.home.clone(),
            self.home.disk().clone(),
            self.cancel.clone(),
            self.state(),
        );
        let wanted = blocking(move || {
            let checkout = disk.open_dir(&path);
            let checkout = checkout.map_err(|error| {
                Error::disk(format!("{} cannot be opened", path.display()), error)
            })?;
            Ok((core::wanted(&checkouts, &path, &source)?, checkout))
        });
        let (wanted, checkout) = wanted.await?;
        // Whatever happens now, what is put there is known to be ours; and so is what an interrupted run put there.
        let (settled, mut incoming) = (state.core, state.incoming);
        incoming.retain(|other| (&other.repo, &other.commit) != (&wanted.repo, &wanted.commit));
        incoming.push(wanted.clone());
        self.record(|state| state.incoming.clone_from(&incoming))?;
        let brought = blocking(move || {
            core::bring(
                &home,
                &checkout,
                &wanted,
                settled.as_ref(),
                &incoming,
                &cancel,
            )
        });
        let brought = brought.await?;
        self.keep(brought.kept);
        self.record(|state| {
            state.core = Some(brought.core);
            state.incoming.clear();
        })
    }

    pub(super) async fn link(&self, name: &NodeName, target: &Path) -> Result<(), Error> {
        let (home, cache) = (self.home.clone(), self.facts.inner.cache.clone());
        let (node, target) = (name.clone(), target.to_owned());
        let recorded = self.state().nodes.remove(name);
        let placed =
            blocking(move || nodes::place(&home, &cache, &node, &target, recorded.as_ref())).await;
        let (placed, kept) =
            placed.map_err(|error| error.at(format!("/custom_nodes/{}", self.index_of(name))))?;
        self.keep(kept.into_iter().collect());
        self.record(|state| drop(state.nodes.insert(name.clone(), placed)))
    }

    pub(super) async fn unlink(&self, name: &NodeName) -> Result<(), Error> {
        if let Some(placed) = self.state().nodes.remove(name) {
            let (home, name) = (self.home.clone(), name.clone());
            let kept = blocking(move || nodes::remove(&home, &name, &placed)).await?;
            self.keep(kept.into_iter().collect());
        }
        self.record(|state| {
            state.nodes.remove(name);
            state.installers.remove(name);
        })
    }

    /// Everybody's requirements, and what is to be said about them.
    fn request(&self) -> Result<PythonRequest, Error> {
        let request = self.facts.request()?;
        for asker in &request.requirements {
            for warning in &asker.warnings {
                self.warn(format!("{}: {warning}", asker.asker));
            }
        }
        Ok(request)
    }

    pub(super) async fn lock_python(&self) -> Result<(), Error> {
        let request = self.request()?;
        let digest = request.digest();
        if locked(&self.lock)
            .python
            .as_ref()
            .is_some_and(|python| python.request_digest == digest)
        {
            return Ok(());
        }
        let requirements = lock_together(&*self.facts.inner.python, &request, &self.cancel).await?;
        locked(&self.lock).python = Some(LockedPython::new(digest, requirements));
        Ok(())
    }

    pub(super) async fn sync_python(&self, venv: &Path) -> Result<(), Error> {
        let all_here = {
            let checkouts = self.facts.inner.checkouts();
            let nodes = (0..self.facts.lock.custom_nodes.len())
                .map(|index| self.facts.node_checkout(index));
            std::iter::once(self.facts.comfy_checkout())
                .chain(nodes)
                .all(|checkout| checkouts.is_present(&checkout))
        };
        // Packages that were pinned for other requirements do not fit these.
        let request = if all_here {
            self.lock_python().await?;
            self.request()?
        } else {
            self.facts.bare_request()?
        };
        let python = locked(&self.lock).python.clone();
        let Some(python) = python else {
            return Err(Error::new(
                ErrorKind::Offline,
                "the Python packages are not locked",
            ));
        };
        self.facts
            .inner
            .python
            .sync(venv, &python.requirements, &request, &self.cancel)
            .await?;
        let inputs = python_inputs(self.facts.spec, self.facts.lock);
        self.record(|state| {
            state.python = Some(PythonState {
                inputs,
                request: python.request_digest,
            });
        })
    }

    pub(super) async fn run_installer(&self, name: &NodeName) -> Result<(), Error> {
        let index = self.index_of(name);
        let checkout = self.facts.node_checkout(index);
        if !has_installer(&checkout) {
            return Ok(());
        }
        let failed = |error| Error::disk(format!("the log of {name} cannot be made"), error);
        self.home
            .create_dir_all(format!("{OWN_FOLDER}/logs"))
            .map_err(failed)?;
        let log = self
            .home
            .path()
            .join(OWN_FOLDER)
            .join("logs")
            .join(format!("{name}.install.log"));
        // By the name under which ComfyUI will load it.
        let folder = self.home.path().join(nodes::path_of(name));
        let mut variables: Vec<(String, String)> = self
            .facts
            .spec
            .environment(self.facts.home, &self.facts.inner.models_dir)?
            .into_iter()
            .collect();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        variables.push(("COMFYUI_PATH".into(), text(self.home.path())));
        variables.push((
            "COMFYUI_MODEL_PATH".into(),
            text(self.facts.inner.models_dir.path()),
        ));
        let (venv, script) = (self.facts.venv(), folder.join("install.py"));
        let ran =
            self.facts
                .inner
                .python
                .run(&venv, &script, &folder, &variables, &log, &self.cancel);
        ran.await.map_err(|error| {
            let hint = format!("all that it said is in {}", log.display());
            error.at(format!("/custom_nodes/{index}")).with_hint(hint)
        })?;
        let checkouts = self.facts.inner.checkouts();
        let path = checkout.clone();
        let changed = blocking(move || checkouts.changed(&path)).await?;
        if !changed.is_empty() {
            let what = some(&changed);
            self.warn(format!("the node {name} wrote into its checkout, which other versions share: {what}, in {}", checkout.display()));
        }
        let packages = locked(&self.lock)
            .python
            .as_ref()
            .map(|python| Sha256Digest::of(python.requirements.as_bytes()));
        let done = packages.map(|packages| InstallerState {
            commit: self.facts.lock.custom_nodes[index].source.commit.clone(),
            packages,
        });
        self.record(|state| {
            state
                .installers
                .extend(done.map(|done| (name.clone(), done)));
        })
    }

    pub(super) async fn model(&self, index: usize) -> Result<(), Error> {
        let all = WantedModel::all(self.facts.spec, Some(self.facts.lock));
        let pinned = self
            .models
            .ensure(&all[index], &self.bytes, &self.cancel)
            .await?;
        let mut lock = locked(&self.lock);
        match lock
            .models
            .iter_mut()
            .find(|model| model.source == pinned.source)
        {
            Some(model) => *model = pinned,
            None => lock.models.push(pinned),
        }
        Ok(())
    }

    pub(super) async fn write_model_paths(&self) -> Result<(), Error> {
        let bytes = self.facts.model_paths()?;
        let digest = Sha256Digest::of(&bytes);
        // What is recorded first is known to be ours, whatever happens between.
        self.record(|state| state.model_paths.push(digest))?;
        let home = self.home.clone();
        blocking(move || {
            let written = home.replace_file(MODEL_PATHS, &bytes);
            written.map_err(|error| {
                Error::disk(
                    format!(
                        "{} cannot be written",
                        home.path().join(MODEL_PATHS).display()
                    ),
                    error,
                )
            })
        })
        .await?;
        self.record(|state| state.model_paths = vec![digest])
    }
}

/// The first of many, for a message.
fn some(paths: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = paths
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match paths.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
