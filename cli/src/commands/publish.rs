use mirror::Store;
use updater::Disk;

use crate::args;
use crate::commands::manifest::{refuse_inside, scan_source};
use crate::exit::Failure;
use crate::output::{Reply, human};
use crate::progress;

pub(crate) fn run(arguments: args::Publish) -> Result<Reply, Failure> {
    let args::Publish { source, store } = arguments;
    let disk = Disk::real();
    let folder = disk
        .open_dir(&source.dir)
        .map_err(|error| Failure::io(format!("cannot open {}", source.dir.display()), &error))?;
    refuse_inside(&source.dir, &store, "the store")?;
    let scan = scan_source(&source)?;

    let busy = progress::busy(&format!("publishing into {}", store.display()));
    let store = Store::open(&disk, store)?;
    let published = store.publish(&scan.manifest, &folder)?;
    drop(busy);

    let text = human::published(&scan.manifest, &published);
    Ok(Reply::report(&text, serde_json::Value::Null).with_warnings(scan.warnings))
}
