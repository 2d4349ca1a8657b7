//! What a plan is made from, and what follows from it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use manifest_core::Sha256Digest;

use crate::comfy::Inner;
use crate::{
    AskerRole, Error, ExtraModelPaths, Home, InstallRequirements, Lock, LockedSource,
    PythonRequest, Requirements, Spec, TorchChange, requirements_of,
};

/// What a plan is made from.
pub(crate) struct Facts<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) spec: &'a Spec,
    pub(crate) lock: &'a Lock,
    pub(crate) home: &'a Home,
}

impl Facts<'_> {
    pub(crate) fn venv(&self) -> PathBuf {
        self.home.path().join(".venv")
    }

    pub(crate) fn comfy_checkout(&self) -> PathBuf {
        self.inner
            .cache
            .comfy(&self.lock.comfy.repo, &self.lock.comfy.commit)
    }

    pub(crate) fn node_checkout(&self, index: usize) -> PathBuf {
        let source = &self.lock.custom_nodes[index].source;
        self.inner.cache.node(&source.repo, &source.commit)
    }

    pub(crate) fn model_paths(&self) -> Result<Vec<u8>, Error> {
        Ok(ExtraModelPaths::of(self.spec, &self.inner.models_dir)
            .to_yaml()?
            .into_bytes())
    }

    /// An interpreter and places, without any requirements yet.
    pub(crate) fn bare_request(&self) -> Result<PythonRequest, Error> {
        let mut request = PythonRequest::new(self.inner.cache.wheels());
        if let Some(python) = self
            .spec
            .environment(self.home, &self.inner.models_dir)?
            .remove("COMFY_PYTHON")
        {
            request = request.with_python(python);
        }
        if let Some(folder) = &self.inner.wheels_dir {
            request = request.with_wheels_dir(folder);
        }
        if self.inner.is_offline(self.spec) {
            request = request.without_network();
        }
        Ok(request)
    }

    /// Everybody's requirements, out of the checkouts in the cache, which must be there.
    pub(crate) fn request(&self) -> Result<PythonRequest, Error> {
        let mut request = self.bare_request()?;
        let comfy = requirements_of(&self.comfy_checkout(), "ComfyUI", AskerRole::Base)
            .map_err(|error| error.at("/comfy"))?;
        if let Some(comfy) = comfy {
            request = request.with_requirements(comfy);
        }
        if !self.spec.python_packages.is_empty() {
            let packages = Requirements::new(
                "python_packages",
                AskerRole::Base,
                &self.spec.python_packages,
            );
            request = request.with_requirements(packages);
        }
        for (index, node) in self.spec.custom_nodes.iter().enumerate() {
            if node.requirements == InstallRequirements::Skip {
                continue;
            }
            let asked = requirements_of(
                &self.node_checkout(index),
                node.name.as_str(),
                AskerRole::Node,
            );
            if let Some(asked) =
                asked.map_err(|error| error.at(format!("/custom_nodes/{index}")))?
            {
                request = request.with_requirements(asked);
            }
            if node.torch == TorchChange::Allow {
                request = request.with_torch_of(node.name.as_str());
            }
        }
        Ok(request)
    }

    pub(super) fn askers(&self) -> Vec<String> {
        let nodes = self
            .spec
            .custom_nodes
            .iter()
            .filter(|node| node.requirements == InstallRequirements::Install);
        std::iter::once("ComfyUI".to_owned())
            .chain(nodes.map(|node| node.name.to_string()))
            .collect()
    }
}

/// The digest of what decides which packages are asked for, without reading anybody's requirements.
pub(crate) fn python_inputs(spec: &Spec, lock: &Lock) -> Sha256Digest {
    let source = |source: &LockedSource| format!("{}@{}", source.repo.as_str(), source.commit);
    let mut text = format!("python-inputs 1\n{}\n", source(&lock.comfy));
    for (node, locked) in spec.custom_nodes.iter().zip(&lock.custom_nodes) {
        let _ = writeln!(
            text,
            "{:?} {} {:?} {:?}",
            node.name,
            source(&locked.source),
            node.requirements,
            node.torch
        );
    }
    let _ = writeln!(
        text,
        "{:?} {:?}",
        spec.python_packages,
        spec.env.get("COMFY_PYTHON")
    );
    Sha256Digest::of(text.as_bytes())
}

/// Whether a node has an `install.py`.
pub(crate) fn has_installer(checkout: &Path) -> bool {
    checkout.join("install.py").is_file()
}
