//! A release goes from HQ to a worker, in one process.
//!
//! ```sh
//! cargo run --release -p lockstep-examples --example quickstart             # with a sample tool
//! cargo run --release -p lockstep-examples --example quickstart -- OLD NEW  # with two folders of yours
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use lockstep_examples::{explain, human, write_sample};
use manifest_core::{Manifest, ReleaseVersion, ScanOptions, ToolJson, scan};
use mirror::{RunningServer, Server, Store};
use updater::{CancellationToken, Disk, Report, Required, TrustPolicy, Updater};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let work = tempfile::tempdir()?; // removed at the end
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let (old, new) = match arguments.as_slice() {
        [] => {
            let (old, new) = (work.path().join("old"), work.path().join("new"));
            write_sample(&old, &new)?;
            (old, new)
        }
        [old, new] => (old.clone(), new.clone()),
        _ => return Err("give two folders, OLD and NEW, or nothing".into()),
    };

    // HQ describes each folder by a manifest and puts the contents into a store, each content once.
    let store = Store::open(&Disk::real(), work.path().join("hq"))?;
    let [first, second] = publish(&store, [&old, &new])?;

    tokio::runtime::Runtime::new()?.block_on(async {
        // Port 0: the system chooses a free one.
        let server = Server::bind(store, "127.0.0.1:0".parse()?)?.spawn();
        println!("HQ serves at {}\n", server.base_url());

        let root = work.path().join("worker");
        let updater = Updater::builder(&root).build()?;
        show_report("installed", &install(&updater, &server, &first).await?);

        // Somebody works with the tool, and leaves a file in the middle of it.
        let notes = |release| active_folder(&root, release).join("my-notes.txt");
        fs::write(notes(&first), "keep the blue one")?;

        // Now HQ requires the second release.
        let required = Required {
            version: second.tool_version().clone(),
            manifest_hash: second.manifest_hash(),
        };
        println!(
            "before the update: {}\n",
            updater.eligibility(&required).await?.as_str()
        );
        show_report("updated to", &install(&updater, &server, &second).await?);
        println!(
            "after the update: {}",
            updater.eligibility(&required).await?
        );

        let kept = fs::read_to_string(notes(&second))?;
        println!("the user's file is still there: {kept:?}");
        Ok(server.shutdown().await?)
    })
}

/// Publishes the two folders as two releases of one tool.
fn publish(store: &Store, folders: [&Path; 2]) -> Result<[Manifest; 2]> {
    let [old, new] = folders.map(ToolJson::read);
    let (old, new) = (old?.unwrap_or_default(), new?.unwrap_or_default());
    let tool_id = match old.tool_id.or(new.tool_id) {
        Some(id) => id,
        None => "tool".parse()?,
    };
    // A published release never changes, so the second one needs a version of its own.
    let versions = match (old.version, new.version) {
        (Some(old), Some(new)) if old != new => [old, new],
        _ => ["1".parse()?, "2".parse()?],
    };
    let publish_one = |folder: &Path, version: &ReleaseVersion| -> Result<Manifest> {
        let options = ScanOptions::new()
            .with_tool_id(tool_id.clone())
            .with_tool_version(version.clone());
        let manifest = scan(folder, &options)?.manifest;
        let published = store.publish(&manifest, &Disk::real().open_dir(folder)?)?;
        println!(
            "published {tool_id} {version}: {} files, {}; {} contents are new to the store",
            manifest.files().len(),
            human(manifest.total_size()),
            published.new_blobs,
        );
        Ok(manifest)
    };
    Ok([
        publish_one(folders[0], &versions[0])?,
        publish_one(folders[1], &versions[1])?,
    ])
}

/// What a worker does when HQ names a release.
async fn install(updater: &Updater, hq: &RunningServer, release: &Manifest) -> Result<Report> {
    let cancel = CancellationToken::new(); // here, nobody cancels
    let (tool, version) = (release.tool_id(), release.tool_version());
    let url = format!("{}{tool}/{version}/manifest.json", hq.base_url());
    // The hash came by another way than the manifest: a forged manifest ends here.
    let trust = TrustPolicy::Pinned(release.manifest_hash());
    Ok(updater.update(&url.parse()?, &trust, &cancel).await?)
}

fn active_folder(root: &Path, release: &Manifest) -> PathBuf {
    root.join("releases")
        .join(release.tool_version().folder_name())
}

fn show_report(what: &str, report: &Report) {
    println!("{what} {}: {report}", report.to_version);
    println!(
        "  {} came over HTTP, {} of {} were here already, in {} ms",
        human(report.bytes_downloaded),
        human(report.bytes_saved),
        human(report.bytes_total),
        report.duration_ms,
    );
    println!("  manifest hash {}\n", report.manifest_hash);
}
