use std::collections::BTreeMap;

use manifest_core::FileEntry;
use rayon::prelude::*;

use crate::Error;

/// A file at least this long is worth a thread of its own.
const LARGE: u64 = 4 << 20;
/// Files of one folder that one thread takes at a time.
const BATCH: usize = 256;

/// Files of one folder, so that the folder is opened once for all of them.
pub(crate) struct Batch<'f, T> {
    /// Relative to the release; empty for its root.
    pub(crate) folder: &'f str,
    pub(crate) items: Vec<T>,
}

/// Splits items by the folder of their entry, the largest work first.
pub(crate) fn by_folder<'f, T>(
    items: impl IntoIterator<Item = T>,
    entry: impl Fn(&T) -> &'f FileEntry,
) -> Vec<Batch<'f, T>> {
    let mut batches: Vec<(u64, Batch<'f, T>)> = Vec::new();
    let mut open: BTreeMap<&'f str, (u64, Vec<T>)> = BTreeMap::new();
    for item in items {
        let file = entry(&item);
        let folder = file.path().parent().unwrap_or_default();
        if file.size() >= LARGE {
            batches.push((
                file.size(),
                Batch {
                    folder,
                    items: vec![item],
                },
            ));
            continue;
        }
        let (bytes, batch) = open.entry(folder).or_default();
        *bytes += file.size();
        batch.push(item);
        if batch.len() == BATCH {
            batches.push((
                std::mem::take(bytes),
                Batch {
                    folder,
                    items: std::mem::take(batch),
                },
            ));
        }
    }
    let rest = open.into_iter().filter(|(_, (_, items))| !items.is_empty());
    batches.extend(rest.map(|(folder, (bytes, items))| (bytes, Batch { folder, items })));
    batches.sort_by(|(one, _), (other, _)| other.cmp(one));
    batches.into_iter().map(|(_, batch)| batch).collect()
}

/// Works on the batches with one thread per core; results come in no particular order.
pub(crate) fn in_parallel<T: Send, R: Send>(
    batches: Vec<Batch<'_, T>>,
    work: impl Fn(Batch<'_, T>) -> Result<Vec<R>, Error> + Send + Sync,
) -> Result<Vec<R>, Error> {
    let results: Vec<Vec<R>> = batches
        .into_par_iter()
        .with_max_len(1)
        .map(work)
        .collect::<Result<_, _>>()?;
    Ok(results.into_iter().flatten().collect())
}
