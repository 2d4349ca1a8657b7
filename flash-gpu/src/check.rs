use durable_fs::Dir;
use tokio_util::sync::CancellationToken;

use crate::blocking::blocking;
use crate::requirements::{check_cuda, choose};
use crate::store::Store;
use crate::wanted::Wanted;
use crate::{ArtifactCheck, Check, Error, ErrorKind, FlashGpu, Key, Obstacle, Warmth, kept};

/// What is in the way.
#[derive(Default)]
struct Obstacles(Vec<Obstacle>);

impl Obstacles {
    fn keep<T>(&mut self, outcome: Result<T, Error>) -> Result<Option<T>, Error> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
            Err(error) => {
                self.0.push(Obstacle {
                    kind: error.kind(),
                    message: format!("{error:#}"),
                });
                Ok(None)
            }
        }
    }
}

pub(crate) async fn check(flash: &FlashGpu, cancel: &CancellationToken) -> Result<Check, Error> {
    let mut obstacles = Obstacles::default();
    let (root, release) = flash.active().await?;
    let manifest = release.manifest().clone();
    let wanted = obstacles.keep(Wanted::of(release))?;
    let stack = obstacles.keep(flash.detect(cancel).await)?;
    let gpu = match &stack {
        Some(stack) => obstacles.keep(choose(stack, &flash.choice).cloned())?,
        None => None,
    };
    if let (Some(stack), Some(gpu), Some(wanted)) = (&stack, &gpu, &wanted) {
        obstacles.keep(check_cuda(wanted.needs.cuda.as_ref(), stack, gpu))?;
    }
    let python = match &wanted {
        Some(wanted) => obstacles.keep(flash.python(&root, wanted, cancel).await)?,
        None => None,
    };
    if let Some(wanted) = &wanted {
        let (wanted, stop) = (wanted.clone(), cancel.clone());
        obstacles.keep(blocking(move || wanted.verify_script(&stop)).await)?;
    }
    let key = stack
        .as_ref()
        .zip(gpu.as_ref())
        .map(|(stack, gpu)| Key::of(manifest.manifest_hash(), gpu, stack));
    let store = {
        let root = root.clone();
        obstacles.keep(blocking(move || Store::look(&root)).await)?
    };
    if store.is_some() {
        let root = root.clone();
        obstacles.keep(blocking(move || Store::may_be_written(&root)).await)?;
    }
    let warmth = match (wanted, key.clone(), store) {
        (Some(wanted), Some(key), Some(store)) => {
            let (how, stop) = (flash.artifact_check, cancel.clone());
            blocking(move || warmth(&root, store.as_ref(), &key, &wanted, how, &stop)).await?
        }
        _ => Warmth::Unknown,
    };
    let dependencies = manifest.dependencies().cloned().unwrap_or_default();
    Ok(Check {
        tool_id: manifest.tool_id().clone(),
        tool_version: manifest.tool_version().clone(),
        manifest_hash: manifest.manifest_hash(),
        stack,
        gpu,
        cuda_min: dependencies.cuda_min,
        python_min: dependencies.python_min,
        python,
        key,
        warmth,
        obstacles: obstacles.0,
    })
}

fn warmth(
    root: &Dir,
    store: Option<&Dir>,
    key: &Key,
    wanted: &Wanted,
    how: ArtifactCheck,
    cancel: &CancellationToken,
) -> Result<Warmth, Error> {
    let Some(store) = store else {
        let reason = "nothing was ever warmed up here".into();
        return Ok(Warmth::Cold { reason });
    };
    let looked = kept::look(root, store, key, wanted, how, cancel)?;
    Ok(match looked {
        Ok(record) => Warmth::Warm {
            since: record.warmed_at,
        },
        Err(reason) => Warmth::Cold { reason },
    })
}
