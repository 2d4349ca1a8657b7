//! Plans as people read them.

use std::fmt;

use super::{Action, Download, Missing, Plan, Step};

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.steps.iter().map(ToString::to_string);
        let missing = self
            .missing
            .iter()
            .map(|missing| format!("missing: {missing}"));
        for (number, line) in lines.chain(missing).enumerate() {
            if number > 0 {
                formatter.write_str("\n")?;
            }
            formatter.write_str(&line)?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.action.fmt(formatter)?;
        match self.cost.download {
            Download::Nothing => Ok(()),
            Download::Bytes(bytes) => write!(formatter, " ({bytes} bytes)"),
            Download::Unknown => formatter.write_str(" (size unknown)"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FetchComfy { repo, commit, .. } => {
                write!(formatter, "fetch ComfyUI {} from {repo}", commit.short())
            }
            Self::FetchNode {
                name, repo, commit, ..
            } => write!(
                formatter,
                "fetch the node {name} {} from {repo}",
                commit.short()
            ),
            Self::BringComfy {
                commit, from: None, ..
            } => write!(formatter, "bring ComfyUI {} into the home", commit.short()),
            Self::BringComfy {
                commit,
                from: Some(from),
                damaged,
            } if from == commit => {
                let shown: Vec<&str> = damaged.iter().take(3).map(String::as_str).collect();
                write!(
                    formatter,
                    "mend ComfyUI in the home: {} of its files changed or gone ({})",
                    damaged.len(),
                    shown.join(", ")
                )
            }
            Self::BringComfy {
                commit,
                from: Some(from),
                ..
            } => {
                write!(
                    formatter,
                    "move ComfyUI in the home from {} to {}",
                    from.short(),
                    commit.short()
                )
            }
            Self::LinkNode { name, target } => {
                write!(formatter, "link the node {name} to {}", target.display())
            }
            Self::UnlinkNode { name } => write!(formatter, "remove the link of the node {name}"),
            Self::LockPython { askers } => write!(
                formatter,
                "lock the Python packages of {}",
                askers.join(", ")
            ),
            Self::SyncPython {
                venv,
                packages: Some(packages),
            } => {
                write!(
                    formatter,
                    "make the environment {} with {packages} packages",
                    venv.display()
                )
            }
            Self::SyncPython {
                venv,
                packages: None,
            } => write!(formatter, "make the environment {}", venv.display()),
            Self::RunInstaller {
                name,
                if_any: false,
            } => write!(formatter, "run the install.py of the node {name}"),
            Self::RunInstaller { name, if_any: true } => write!(
                formatter,
                "run the install.py of the node {name}, if it has one"
            ),
            Self::FetchModel { source, target, .. } => {
                write!(formatter, "download {source} to {}", target.display())
            }
            Self::PlaceModel { target, .. } => {
                write!(formatter, "place the model {}", target.display())
            }
            Self::WriteModelPaths { path } => write!(formatter, "write {}", path.display()),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.pointer, self.message)
    }
}
