use activation::{Installation, InstalledRelease};
use durable_fs::Dir;
use tokio_util::sync::CancellationToken;

use crate::blocking::{blocking, unless_cancelled};
use crate::error::During as _;
use crate::requirements::{check_cuda, choose};
use crate::wanted::Wanted;
use crate::{Error, ErrorKind, Event, FlashGpu, Gpu, GpuStack, Key, Phase, Python, interpreter};

/// An active release that wants a warm-up, and a machine that can do it.
#[derive(Clone, Debug)]
pub(crate) struct Situation {
    pub(crate) root: Dir,
    pub(crate) wanted: Wanted,
    pub(crate) stack: GpuStack,
    pub(crate) gpu: Gpu,
    pub(crate) python: Python,
    pub(crate) key: Key,
}

impl FlashGpu {
    /// The root's folder, and the active release in it.
    pub(crate) async fn active(&self) -> Result<(Dir, InstalledRelease), Error> {
        let flash = self.clone();
        blocking(move || {
            let root = std::path::absolute(&flash.root).unwrap_or_else(|_| flash.root.clone());
            let nothing = || {
                let text = format!("nothing is installed in {}", root.display());
                Error::new(ErrorKind::NoInstallation, text)
            };
            let installation = match Installation::open(&flash.disk, &root) {
                Err(error) if error.kind() == activation::ErrorKind::NotFound => {
                    return Err(nothing());
                }
                opened => opened.during(|| format!("cannot open {}", root.display()))?,
            };
            let active = installation
                .active()
                .during(|| format!("cannot read the active release in {}", root.display()))?;
            let active = active.ok_or_else(nothing)?;
            Ok((installation.root().clone(), active))
        })
        .await
    }

    pub(crate) async fn detect(&self, cancel: &CancellationToken) -> Result<GpuStack, Error> {
        unless_cancelled(cancel, self.probe.detect()).await
    }

    pub(crate) async fn python(
        &self,
        root: &Dir,
        wanted: &Wanted,
        cancel: &CancellationToken,
    ) -> Result<Python, Error> {
        let (root, given) = (root.path().to_owned(), self.interpreter.clone());
        let program = blocking(move || interpreter::find(&root, given.as_deref())).await?;
        interpreter::check(program, wanted.needs.python.as_ref(), cancel).await
    }

    /// Everything that must be so before a warm-up begins; the first thing that is not is the error.
    pub(crate) async fn situation(&self, cancel: &CancellationToken) -> Result<Situation, Error> {
        let (root, release) = self.active().await?;
        let wanted = Wanted::of(release)?;
        self.observer.notify(&Event::Phase(Phase::Probing));
        let stack = self.detect(cancel).await?;
        let gpu = choose(&stack, &self.choice)?.clone();
        self.observer.notify(&Event::GpuFound(gpu.clone()));
        check_cuda(wanted.needs.cuda.as_ref(), &stack, &gpu)?;
        let python = self.python(&root, &wanted, cancel).await?;
        let key = Key::of(wanted.manifest().manifest_hash(), &gpu, &stack);
        Ok(Situation {
            root,
            wanted,
            stack,
            gpu,
            python,
            key,
        })
    }
}
