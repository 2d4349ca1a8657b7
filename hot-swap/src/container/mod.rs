//! A container, by the command line of its engine.

mod engine;
mod files;
mod service;

use std::path::PathBuf;

/// A container, by the command line of docker or podman.
///
/// ```
/// use hot_swap::{Container, HotSwap};
///
/// let container = Container::new("podman", "sketcher")
///     .created_from("registry.example/sketcher:1") // if it is missing
///     .with_create_arguments(["--publish=8080:8080"]);
/// let swap = HotSwap::in_container(container, "/app/server", "./server", "/var/lib/lockstep/sketcher");
/// # let _ = swap;
/// ```
///
/// The binary is copied in beside the one in place, and takes its name by one `mv` inside, as the container's root. A container that
/// does not run has no `mv`: there the name is changed by an archive with a hard link, which `cp -` unpacks; the name is gone for a
/// moment then. What is saved is kept on this machine, so that it survives the container.
///
/// # What is not guaranteed
///
/// - When the engine's storage has what it was given on its disk.
/// - The owner of the binary: it is root's inside the container, with the mode `0755`.
#[derive(Clone, Debug)]
pub struct Container {
    engine: PathBuf,
    name: String,
    image: Option<String>,
    create_arguments: Vec<String>,
    command: Vec<String>,
}

impl Container {
    /// A container by its name or id, of an engine whose command line is docker's: a name on `PATH`, or a path.
    #[must_use]
    pub fn new(engine: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self {
            engine: engine.into(),
            name: name.into(),
            image: None,
            create_arguments: Vec::new(),
            command: Vec::new(),
        }
    }

    /// If it is missing, it is created from this image.
    #[must_use]
    pub fn created_from(mut self, image: impl Into<String>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// Options for creating it: `--publish=8080:8080`.
    #[must_use]
    pub fn with_create_arguments(
        mut self,
        arguments: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.create_arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// What it runs when it is created, instead of what the image says.
    #[must_use]
    pub fn with_command(mut self, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.command = command.into_iter().map(Into::into).collect();
        self
    }
}
