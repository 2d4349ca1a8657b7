//! The binary inside a container.

use std::path::Path;

use manifest_core::Sha256Digest;

use super::Container;
use crate::state::split;
use crate::{Error, ErrorKind};

impl Container {
    fn inside(&self, path: &Path) -> Result<String, Error> {
        match path.to_str() {
            Some(path) if path.starts_with('/') => Ok(format!("{}:{path}", self.name)),
            _ => Err(Error::new(
                ErrorKind::Configuration,
                format!("{} is no absolute path inside a container", path.display()),
            )),
        }
    }

    /// Copies a file out of the container. `false` if there is no such file.
    pub(crate) async fn copy_out(&self, target: &Path, to: &Path) -> Result<bool, Error> {
        let from = self.inside(target)?;
        let to = to.to_string_lossy();
        let ran = self.ran(["cp", &*from, &*to]).await?;
        if ran.status.success() {
            return Ok(true);
        }
        if self.inspect().await?.is_none() {
            return Err(self.missing());
        }
        // "Could not find the file /x in container y" (docker), "\"/x\" could not be found on container y: no such file" (podman).
        let said = ran.stderr.to_lowercase();
        if said.contains("could not find") || said.contains("could not be found") {
            return Ok(false);
        }
        Err(self.refused("copied from", &ran))
    }

    /// Puts a file in the target's place.
    pub(crate) async fn put(
        &self,
        file: &Path,
        target: &Path,
        digest: Sha256Digest,
    ) -> Result<(), Error> {
        let (folder, name) = split(target)?;
        // By its content: what an interrupted swap left under this name is the same, or a part of it.
        let digest = digest.to_string();
        let coming = format!(".lockstep-{}-{}", name.to_string_lossy(), &digest[..12]);
        let beside = folder.join(&coming);
        let to = self.inside(&beside)?;
        self.succeed("copied into", ["cp", &*file.to_string_lossy(), &*to])
            .await?;
        if !self.is_running().await? {
            return self
                .put_by_link(&folder, &coming, &name.to_string_lossy())
                .await;
        }
        let (beside, target) = (beside.to_string_lossy(), target.to_string_lossy());
        let moving = ["exec", "--user=0", &self.name, "mv", "-f", &beside, &target];
        let ran = self.ran(moving).await?;
        if ran.status.success() {
            return Ok(());
        }
        if ran.status.code() == Some(127) {
            let text = format!(
                "the container {} has no `mv`, so that {target} cannot be replaced while it runs; stop it first",
                self.name
            );
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        Err(self.refused("changed", &ran))
    }

    /// Nothing can be run in a container that does not run. An archive whose only entry is a hard link gives the file its second name.
    async fn put_by_link(&self, folder: &Path, coming: &str, name: &str) -> Result<(), Error> {
        let into = self.inside(folder)?;
        let archive = link(coming, name).map_err(|error| {
            let text = format!("{name} is no name for an archive");
            Error::new(ErrorKind::Configuration, text).with_source(error)
        })?;
        self.feed(["cp", "-", &into], &archive).await
    }

    /// After a start: the name that a link was made of is not needed any more.
    pub(super) async fn tidy(&self, target: &Path) {
        let Ok((folder, name)) = split(target) else {
            return;
        };
        let pattern = format!(".lockstep-{}-*", name.to_string_lossy());
        let folder = folder.to_string_lossy();
        let find = ["find", &*folder, "-maxdepth", "1", "-name", &*pattern];
        let arguments = ["exec", "--user=0", &self.name].into_iter();
        let removing = arguments
            .chain(find)
            .chain(["-exec", "rm", "-f", "{}", ";"]);
        // A container without `find` keeps it.
        if let Err(error) = self.ran(removing).await {
            tracing::debug!(%error, "a leftover stays in the container");
        }
    }
}

/// A tar archive (POSIX.1-2017, pax) with one hard link in it.
fn link(existing: &str, name: &str) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Link);
    header.set_mode(0o755);
    header.set_size(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_link(&mut header, name, existing)?;
    archive.into_inner()
}
