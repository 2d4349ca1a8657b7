use mirror::Store;
use updater::Disk;

use crate::args;
use crate::commands::manifest::{refuse_inside, scan_source};
use crate::exit::Failure;
use crate::output::{Reply, human, json};
use crate::progress::FolderProgress;
use crate::signals;

/// Blocks; the runtime that it is called in hears the signals.
pub(crate) fn run(arguments: args::Publish) -> Result<Reply, Failure> {
    let args::Publish { source, store, .. } = arguments;
    let cancel = signals::cancellation(signals::STOPPING)?;
    let disk = Disk::real();
    let folder = disk
        .open_dir(&source.dir)
        .map_err(|error| Failure::io(format!("cannot open {}", source.dir.display()), &error))?;
    refuse_inside(&source.dir, &store, "the store")?;
    let scan = scan_source(&source, &cancel)?;

    tracing::info!("publishing into {}", store.display());
    let storing = FolderProgress::new("storing", &cancel);
    let store = Store::open(&disk, store)?;
    let published =
        store.publish_observed(&scan.manifest, &folder, |progress| storing.hear(progress))?;
    drop(storing);

    Ok(Reply::report(
        &human::published(&scan.manifest, &published),
        json::published(&scan.manifest, &published),
    )
    .with_warnings(scan.warnings))
}
