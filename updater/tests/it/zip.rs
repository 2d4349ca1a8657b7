//! A release ZIP as a source: alone, first, and when all others have failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use testkit::{FileServer, Reply, ScriptedServer, ZipEntry};
use updater::{
    ArchiveOrder, CancellationToken, ErrorKind, Event, HostPolicy, RedirectPolicy, Report,
    TrustPolicy, Updater, UpdaterBuilder,
};
use url::Url;

use crate::support::{BASE, Heard, MIRROR, Release, World, apply, noise, quick, url, write};

const PATH: &str = "/o/r/releases/download/v1.1.0/tool_sketcher.zip";
const MODEL: &str = "models/unet.safetensors";
/// The last 66 KiB with the directory of a small release, and its beginning.
const DIRECTORY: u64 = 67_000;

/// Compresses to about a third.
fn script(seed: u64, lines: usize) -> String {
    let numbers = noise(seed, lines);
    let line = |number: &u8| format!("print('a line of a script', {number})\n");
    numbers.iter().map(line).collect()
}

fn first() -> Release {
    Release::new("1.0.0")
        .file("main.py", script(1, 5000))
        .file("ui/panel.py", script(2, 5000))
        .program("bin/run.sh", "#!/bin/sh")
        .file(MODEL, noise(1, 2_000_000))
}

fn second() -> Release {
    first()
        .next("1.1.0")
        .file("main.py", script(3, 5000))
        .file("a b/ü%.txt", "odd name")
}

/// As a packer would write it: what does not compress is stored.
fn packed(release: &Release) -> Vec<u8> {
    let manifest = release.manifest().to_bytes();
    let mut entries = vec![ZipEntry::deflated("manifest.json", manifest)];
    for (path, (content, _)) in release.files() {
        entries.push(if path.ends_with(".safetensors") {
            ZipEntry::stored(path, content)
        } else {
            ZipEntry::deflated(path, content)
        });
    }
    testkit::zip(&entries)
}

async fn served(release: &Release) -> FileServer {
    let server = FileServer::start().await;
    server.insert(PATH, packed(release));
    server
}

/// Over HTTP, with this ZIP.
fn over_http(world: &World, archive: Url, order: ArchiveOrder) -> UpdaterBuilder {
    Updater::builder(world.root())
        .with_retry(quick())
        .with_archive(archive, order)
}

async fn update(updater: &Updater) -> Result<Report, updater::Error> {
    let cancel = CancellationToken::new();
    let trusted = updater
        .fetch_archive_manifest(&TrustPolicy::Unsigned, &cancel)
        .await?;
    updater.apply(&trusted, &cancel).await
}

fn archive(server: &FileServer) -> Url {
    url(&server.url(PATH))
}

#[tokio::test]
async fn an_update_from_a_remote_zip_transfers_only_what_changed() {
    let (old, new) = (first(), second());
    let world = World::with(&old).await;
    let server = served(&new).await;
    let updater = over_http(&world, archive(&server), ArchiveOrder::First)
        .build()
        .unwrap();
    let report = update(&updater).await.unwrap();
    world.assert_active(&new, &[]);
    world.assert_tidy();

    assert_eq!((report.downloaded, report.reused), (2, 3));
    let changed = new.content("main.py").len() + new.content("a b/ü%.txt").len();
    assert_eq!(report.bytes_downloaded, changed as u64);
    assert_eq!(report.bytes_saved, new.bytes() - changed as u64);
    assert_eq!(report.bytes_from_archive, server.bytes_sent());
    let manifest = new.manifest().to_bytes().len() as u64;
    let most = changed as u64 / 3 + manifest + DIRECTORY + 1000;
    assert!(
        server.bytes_sent() < most,
        "{} of {most}",
        server.bytes_sent()
    );

    // Nothing is left to do, and nothing more of the ZIP is read.
    let before = server.bytes_sent();
    let again = update(&updater).await.unwrap();
    assert_eq!((again.downloaded, again.verified), (0, 5));
    assert_eq!(again.bytes_from_archive, server.bytes_sent() - before);
    assert!(
        again.bytes_from_archive <= manifest,
        "{}",
        again.bytes_from_archive
    );
}

#[tokio::test]
async fn a_first_installation_comes_out_of_a_local_zip_alone() {
    let (world, release) = (World::new(), second());
    let path = world.outside().join("a tool.zip");
    write(&path, packed(&release));
    let updater = over_http(
        &world,
        Url::from_file_path(&path).unwrap(),
        ArchiveOrder::First,
    )
    // Host policies are for what a manifest names.
    .with_hosts(HostPolicy::only(["hq.test"]))
    .build()
    .unwrap();
    let report = update(&updater).await.unwrap();
    assert_eq!((report.downloaded, report.verified), (5, 5));
    assert_eq!(report.bytes_downloaded, release.bytes());
    let size = packed(&release).len() as u64;
    assert!((size..size + DIRECTORY).contains(&report.bytes_from_archive));
    assert!(report.warnings.is_empty(), "{report:?}");
    world.assert_active(&release, &[]);
}

#[tokio::test]
async fn the_zip_is_asked_where_a_mirror_has_not_got_the_file() {
    let release = first();
    let world = World::new();
    // The mirror has one file; the manifest's own URLs lead nowhere.
    let mirror = url(MIRROR);
    let there = release.url_at(&mirror, "main.py");
    world
        .memory
        .insert(there, release.content("main.py").to_vec());
    let zip = url("http://github.test/tool.zip");
    world.memory.insert(zip.clone(), packed(&release));
    let updater = world
        .builder()
        .with_mirrors([mirror])
        .with_archive(zip.clone(), ArchiveOrder::Last)
        .build()
        .unwrap();
    let report = apply(&updater, &release).await.unwrap();
    assert_eq!(report.downloaded, 4);
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert!(report.bytes_from_archive > 2_000_000);
    world.assert_active(&release, &[]);
    let asked = world.memory.requests();
    let position = |wanted: &Url| asked.iter().position(|request| request.url() == wanted);
    let own = position(&release.url(MODEL)).unwrap();
    assert!(
        own < position(&zip).unwrap(),
        "the manifest's own URL comes first"
    );
}

#[tokio::test]
async fn a_zip_that_is_not_needed_is_not_touched() {
    let (world, release) = (World::new(), first());
    world.serve(&release);
    let updater = world
        .builder()
        .with_archive(url("http://github.test/missing.zip"), ArchiveOrder::Last)
        .build()
        .unwrap();
    let report = apply(&updater, &release).await.unwrap();
    assert_eq!(report.bytes_from_archive, 0);
    let is_zip = |url: &Url| url.host_str() == Some("github.test");
    assert!(
        !world
            .memory
            .requests()
            .iter()
            .any(|request| is_zip(request.url()))
    );
}

#[tokio::test]
async fn a_zip_that_comes_first_spares_all_others_and_a_damaged_file_in_it_does_not_stop() {
    let (world, release) = (World::new(), first());
    let zip = url("http://github.test/tool.zip");
    let mut bytes = packed(&release);
    // In the model.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    world.memory.insert(zip.clone(), bytes);
    world.serve(&release);
    let updater = world
        .builder()
        .with_mirrors([url(MIRROR)])
        .with_archive(zip, ArchiveOrder::First)
        .build()
        .unwrap();
    let report = apply(&updater, &release).await.unwrap();
    assert_eq!(report.bytes_downloaded, release.bytes() + 2_000_000);
    world.assert_active(&release, &[]);
    for (path, times) in [("main.py", 0), (MODEL, 1)] {
        for base in [url(MIRROR), url(BASE)] {
            let asked = world.memory.offsets(&release.url_at(&base, path));
            assert_eq!(asked.len(), times, "{path} at {base}");
        }
    }
}

#[tokio::test]
async fn a_new_process_goes_on_in_the_middle_of_an_entry() {
    let (world, release) = (World::new(), first());
    let server = served(&release).await;
    let cancel = CancellationToken::new();
    let (stop, came) = (cancel.clone(), Arc::new(AtomicU64::new(0)));
    let listener = move |event: &Event| {
        // The scripts are deflated: what came of them is of no use to another process.
        if let Event::DownloadAdvanced { path, received, .. } = event
            && path.as_str() == MODEL
            && came.fetch_add(*received, Ordering::SeqCst) + received > 1_000_000
        {
            stop.cancel();
        }
    };
    let stopped = over_http(&world, archive(&server), ArchiveOrder::First)
        .with_observer(listener)
        .build()
        .unwrap();
    let error = stopped
        .apply(&release.trusted(), &cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    drop(stopped);

    let before = server.bytes_sent();
    let updater = over_http(&world, archive(&server), ArchiveOrder::First)
        .build()
        .unwrap();
    let report = crate::support::apply_when_free(&updater, &release).await;
    assert!(report.bytes_resumed > 1_000_000, "{report:?}");
    assert_eq!(
        report.bytes_downloaded + report.bytes_resumed,
        release.bytes()
    );
    let sent = server.bytes_sent() - before;
    let most = report.bytes_downloaded + DIRECTORY + 1000;
    assert!(sent < most, "{sent} of {most}");
    world.assert_active(&release, &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn a_connection_that_breaks_is_taken_up() {
    let (world, release) = (World::new(), first());
    let server = served(&release).await;
    server.break_after(1_000_000);
    let updater = over_http(&world, archive(&server), ArchiveOrder::First)
        .build()
        .unwrap();
    let report = update(&updater).await.unwrap();
    assert_eq!(report.bytes_downloaded, release.bytes(), "no byte twice");
    world.assert_active(&release, &[]);
}

#[tokio::test]
async fn a_zip_of_another_release_gives_what_both_have_and_is_said_to_be_that() {
    let (world, old, new) = (World::new(), first(), second());
    let zip = url("http://github.test/tool.zip");
    world.memory.insert(zip.clone(), packed(&old));
    for path in ["main.py", "a b/ü%.txt"] {
        world
            .memory
            .insert(new.url(path), new.content(path).to_vec());
    }
    let heard = Heard::default();
    let builder = || {
        world
            .builder()
            .with_archive(zip.clone(), ArchiveOrder::Last)
            .with_observer(heard.listener())
    };
    let report = apply(&builder().build().unwrap(), &new).await.unwrap();
    world.assert_active(&new, &[]);
    let [warning] = &report.warnings[..] else {
        panic!("{:?}", report.warnings)
    };
    for text in [
        "http://github.test/tool.zip holds release 1.0.0",
        "not 1.1.0",
    ] {
        assert!(warning.contains(text), "{warning}");
    }
    assert!(warning.contains(&old.manifest().manifest_hash().to_string()));
    assert_eq!(heard.warnings(), report.warnings);

    // What it does not have, it does not have.
    world.memory.remove(&new.url("main.py"));
    let other = World::new();
    let updater = crate::support::builder(&other.root(), Arc::new(world.memory.clone()))
        .with_archive(zip.clone(), ArchiveOrder::Last)
        .build()
        .unwrap();
    let error = apply(&updater, &new).await.unwrap_err();
    assert!(
        error.to_string().contains("holds release 1.0.0"),
        "{error:#}"
    );
    assert!(!other.path("current.txt").exists());
}

#[tokio::test]
async fn a_zip_whose_manifest_is_not_the_required_one_is_refused() {
    let (world, release) = (World::new(), first());
    let server = served(&release).await;
    let updater = over_http(&world, archive(&server), ArchiveOrder::First)
        .build()
        .unwrap();
    let required = second().manifest().manifest_hash();
    let error = updater
        .fetch_archive_manifest(&TrustPolicy::Pinned(required), &CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Trust);
    assert!(!world.root().exists());
}

#[tokio::test]
async fn a16_the_host_policy_holds_for_a_zip_too() {
    let (world, release) = (World::new(), first());
    let server = served(&release).await;
    let updater = over_http(&world, archive(&server), ArchiveOrder::Last)
        .with_hosts(HostPolicy::only(["hq.test"]))
        .build()
        .unwrap();
    let unsigned = TrustPolicy::Unsigned;
    let fetched = updater
        .fetch_archive_manifest(&unsigned, &CancellationToken::new())
        .await;
    for error in [
        fetched.unwrap_err(),
        apply(&updater, &release).await.unwrap_err(),
        updater.plan(&release.trusted()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Policy, "{error:#}");
        assert!(
            error.to_string().contains("the ZIP http://127.0.0.1"),
            "{error}"
        );
    }
    assert_eq!(server.requests().len(), 0);
    assert!(!world.root().exists());
}

#[tokio::test]
async fn a_redirect_to_another_host_is_followed_where_that_is_allowed() {
    let (world, release) = (World::new(), first());
    let server = served(&release).await;
    let elsewhere = server.url(PATH).replace("127.0.0.1", "localhost");
    // The manifest, four files, and two requests for the directory.
    let front = ScriptedServer::start((0..7).map(|_| Reply::redirect(&elsewhere))).await;
    let builder = || over_http(&world, url(&front.url("/latest.zip")), ArchiveOrder::First);
    let redirects = RedirectPolicy::Hosts(["localhost".to_owned()].into());
    let updater = builder().with_redirects(redirects).build().unwrap();
    update(&updater).await.unwrap();
    front.assert_finished();
    world.assert_active(&release, &[]);

    front.push(Reply::redirect(&elsewhere));
    let error = update(&builder().build().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Policy, "{error:#}");
}

#[tokio::test]
async fn what_is_no_release_zip_is_said_to_be_that() {
    let world = World::new();
    let server = FileServer::start().await;
    let refusal = async || {
        let updater = over_http(&world, archive(&server), ArchiveOrder::First)
            .build()
            .unwrap();
        let error = update(&updater).await.unwrap_err();
        (error.kind(), format!("{error:#}"))
    };
    assert_eq!(refusal().await.0, ErrorKind::NotFound);
    let cases = [
        (b"<!DOCTYPE html>".to_vec(), ErrorKind::Archive, "web page"),
        (Vec::new(), ErrorKind::Archive, "is empty"),
        (
            testkit::zip(&[ZipEntry::stored("main.py", "x")]),
            ErrorKind::Archive,
            "has no manifest.json",
        ),
        (
            testkit::zip(&[ZipEntry::stored("manifest.json", "{}")]),
            ErrorKind::Manifest,
            "manifest in the ZIP",
        ),
        (
            testkit::zip(&[ZipEntry::stored("../x", "x")]),
            ErrorKind::Archive,
            "not safe",
        ),
    ];
    for (bytes, kind, text) in cases {
        server.insert(PATH, bytes);
        let (is, said) = refusal().await;
        assert_eq!(is, kind, "{said}");
        assert!(said.contains(text), "{said}");
    }
    server.insert(PATH, packed(&first()));
    server.ignore_ranges();
    let (kind, said) = refusal().await;
    assert_eq!(kind, ErrorKind::Archive);
    assert!(said.contains("download it first"), "{said}");
    assert!(!world.root().exists());

    let none = Updater::builder(world.root()).build().unwrap();
    let error = update(&none).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let opaque = over_http(&world, url("data:,x"), ArchiveOrder::First).build();
    assert_eq!(opaque.unwrap_err().kind(), ErrorKind::Policy);
}

#[tokio::test]
async fn repair_takes_damaged_files_out_of_the_zip() {
    let release = first();
    let world = World::with(&release).await;
    let server = served(&release).await;
    let path = world.installed(&release, "main.py");
    crate::support::replace(&path, "damaged");
    let updater = over_http(&world, archive(&server), ArchiveOrder::First)
        .build()
        .unwrap();
    let report = updater.repair(&CancellationToken::new()).await.unwrap();
    assert_eq!((report.repaired.len(), report.downloaded), (1, 1));
    world.assert_active(&release, &[]);
}
