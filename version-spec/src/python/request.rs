//! What to resolve together.

use std::env::consts::{ARCH, OS};
use std::path::PathBuf;

use manifest_core::Sha256Digest;

/// What to resolve together, and where packages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PythonRequest {
    /// The interpreter: a version (`3.11`), a name (`python3.11`) or a path. `None`: the program's choice.
    pub python: Option<String>,
    /// Who asks for what, the base first.
    pub requirements: Vec<Requirements>,
    /// Versions that packages must have if somebody asks for them: one a line, as in [`Requirements::lines`].
    pub constraints: Vec<String>,
    /// Take packages from this folder and from no index.
    pub wheels_dir: Option<PathBuf>,
    /// Use no network.
    pub offline: bool,
    /// Where packages are kept between environments.
    pub cache: PathBuf,
    /// Nodes that may replace the torch of the base, by their [`Requirements::asker`].
    pub may_replace_torch: Vec<String>,
}

impl PythonRequest {
    /// No packages, the program's choice of an interpreter, and packages kept there between environments.
    #[must_use]
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            python: None,
            requirements: Vec::new(),
            constraints: Vec::new(),
            wheels_dir: None,
            offline: false,
            cache: cache.into(),
            may_replace_torch: Vec::new(),
        }
    }

    /// Sets [`python`](Self::python).
    #[must_use]
    pub fn with_python(mut self, python: impl Into<String>) -> Self {
        self.python = Some(python.into());
        self
    }

    /// Adds somebody's [`requirements`](Self::requirements).
    #[must_use]
    pub fn with_requirements(mut self, requirements: Requirements) -> Self {
        self.requirements.push(requirements);
        self
    }

    /// Adds a [`constraint`](Self::constraints).
    #[must_use]
    pub fn with_constraint(mut self, constraint: impl Into<String>) -> Self {
        self.constraints.push(constraint.into());
        self
    }

    /// Sets [`wheels_dir`](Self::wheels_dir).
    #[must_use]
    pub fn with_wheels_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.wheels_dir = Some(folder.into());
        self
    }

    /// Sets [`offline`](Self::offline).
    #[must_use]
    pub fn without_network(mut self) -> Self {
        self.offline = true;
        self
    }

    /// Adds a node to those that [may replace torch](Self::may_replace_torch).
    #[must_use]
    pub fn with_torch_of(mut self, node: impl Into<String>) -> Self {
        self.may_replace_torch.push(node.into());
        self
    }

    /// The digest of what is asked for: interpreter, requirements, constraints, and the platform, since packages are resolved for this
    /// one alone. Where packages come from is no part of it, so that a bundle or a folder of wheels serves what was locked elsewhere;
    /// nor is the order of the askers.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        let mut askers: Vec<&Requirements> = self.requirements.iter().collect();
        askers.sort_by(|one, other| one.asker.cmp(&other.asker));
        let mut may_replace: Vec<&String> = self.may_replace_torch.iter().collect();
        may_replace.sort();
        // Debug quotes each text, so that no two requests are written alike.
        let asked: Vec<_> = askers
            .iter()
            .map(|asker| (asker.role, &asker.asker, &asker.lines))
            .collect();
        let asked = (&self.python, asked, &self.constraints, may_replace);
        let text = format!("python-request 1\n{OS} {ARCH}\n{asked:?}");
        Sha256Digest::of(text.as_bytes())
    }
}

/// Whose requirements they are, as far as torch is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AskerRole {
    /// ComfyUI itself and the packages of the spec: they say which torch it is.
    Base,
    /// A custom node: it takes the torch that is there.
    Node,
}

/// The requirements of one asker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirements {
    /// Who asks: `ComfyUI`, the name of a node, or `python_packages`.
    pub asker: String,
    /// Whether it is part of the base.
    pub role: AskerRole,
    /// One requirement a line (PEP 508, or an option that says where packages are).
    pub lines: Vec<String>,
    /// What was left out or changed, one sentence each, without the asker's name.
    pub warnings: Vec<String>,
    /// The entry of the spec that they belong to, as a JSON pointer, for errors.
    pub pointer: Option<String>,
}

impl Requirements {
    /// What this asker asks for, one requirement a line.
    #[must_use]
    pub fn new(
        asker: impl Into<String>,
        role: AskerRole,
        lines: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            asker: asker.into(),
            role,
            lines: lines.into_iter().map(Into::into).collect(),
            warnings: Vec::new(),
            pointer: None,
        }
    }

    /// Sets [`pointer`](Self::pointer).
    #[must_use]
    pub fn with_pointer(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }
}
