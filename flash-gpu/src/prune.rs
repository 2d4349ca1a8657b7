//! For what else is something kept, and for how much longer?

use activation::Installation;
use manifest_core::Sha256Digest;

use crate::record::Record;
use crate::situation::Situation;
use crate::store::Store;
use crate::{Error, FlashGpu, Key};

/// Deletes what is kept for other keys, but for so many: first the release that a rollback would go to, with this GPU and
/// driver, then the newest.
///
/// Returns what was deleted, and what could not be.
pub(crate) fn prune(
    flash: &FlashGpu,
    situation: &Situation,
    store: &Store,
) -> Result<(Vec<Key>, Vec<String>), Error> {
    let previous = previous(flash, situation);
    let previous = previous.map(|hash| Key::of(hash, &situation.gpu, &situation.stack));
    let mut others: Vec<(bool, String, Key)> = store
        .keys()?
        .into_iter()
        .filter(|key| *key != situation.key)
        .map(|key| {
            let record = Record::read(&store.dir, &key);
            let warmed_at = record.map_or(String::new(), |record| record.warmed_at);
            (previous.as_ref() == Some(&key), warmed_at, key)
        })
        .collect();
    others.sort_unstable();
    others.reverse();
    let (mut pruned, mut warnings) = (Vec::new(), Vec::new());
    for (index, (_, warmed_at, key)) in others.into_iter().enumerate() {
        // One without a record can never be warm again.
        if index < flash.keep && !warmed_at.is_empty() {
            continue;
        }
        match store.delete(&key) {
            Ok(()) => pruned.push(key),
            Err(error) => warnings.push(format!("{error:#}")),
        }
    }
    Ok((pruned, warnings))
}

/// The manifest of the release that a rollback would go to.
fn previous(flash: &FlashGpu, situation: &Situation) -> Option<Sha256Digest> {
    let installation = Installation::open(&flash.disk, situation.root.path()).ok()?;
    let version = installation.previous_version().ok()??;
    let release = installation.release(&version).ok()??;
    Some(release.manifest().manifest_hash())
}
