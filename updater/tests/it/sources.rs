//! Which sources are asked, in which order, and what is not asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use downloader::Request;
use testkit::{Exchange, Reply, ScriptedServer};
use updater::{CancellationToken, ErrorKind, Event, Updater};
use url::Url;

use crate::support::{Gated, MIRROR, Release, World, apply, builder, noise, quick, url};

const SECOND_MIRROR: &str = "http://second.test/tools/";

fn release() -> Release {
    Release::new("1.0.0").file("models/unet.bin", noise(1, 200_000))
}

#[tokio::test]
async fn mirrors_are_asked_in_turn_and_the_manifests_own_url_last() {
    let (world, release) = (World::new(), release());
    let path = "models/unet.bin";
    // The first mirror does not have it, the second one lies.
    let lie = noise(9, 200_000);
    world
        .memory
        .insert(release.url_at(&url(SECOND_MIRROR), path), lie);
    world.serve(&release);
    let updater = world
        .builder()
        .with_mirrors([url(MIRROR), url(SECOND_MIRROR)])
        .build()
        .unwrap();
    let report = apply(&updater, &release).await.unwrap();
    assert_eq!(report.downloaded, 1);
    assert_eq!(report.bytes_downloaded, 400_000, "the lie was paid for");
    assert_eq!(report.bytes_saved, 0);

    let requests = world.memory.requests();
    let mut asked: Vec<&Url> = requests.iter().map(Request::url).collect();
    asked.dedup();
    let bases = [MIRROR, SECOND_MIRROR, crate::support::BASE];
    let wanted: Vec<Url> = bases
        .iter()
        .map(|base| release.url_at(&url(base), path))
        .collect();
    assert_eq!(asked, wanted.iter().collect::<Vec<_>>());
    world.assert_active(&release, &[]);
}

#[tokio::test]
async fn a_mirror_that_has_the_file_spares_the_others() {
    let (world, release) = (World::new(), release());
    release.serve_at(&world.memory, &url(MIRROR));
    let updater = world.builder().with_mirrors([url(MIRROR)]).build().unwrap();
    apply(&updater, &release).await.unwrap();
    assert_eq!(world.requests(), 1);
    world.assert_active(&release, &[]);
}

#[tokio::test]
async fn a_file_that_nobody_has_is_not_found() {
    let (world, release) = (World::new(), release());
    let error = apply(&world.updater(), &release).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    assert!(!world.path("current.txt").exists());
}

#[tokio::test]
async fn any_url_of_equal_files_will_do() {
    let world = World::new();
    let release = Release::new("1.0.0")
        .file("a.bin", "same")
        .file("b.bin", "same");
    world.serve(&release);
    world.memory.remove(&release.url("a.bin"));
    apply(&world.updater(), &release).await.unwrap();
    world.assert_active(&release, &[]);
}

fn base(server: &ScriptedServer) -> Url {
    url(&server.url("/tools/"))
}

fn over_http(world: &World, mirrors: impl IntoIterator<Item = Url>) -> updater::UpdaterBuilder {
    Updater::builder(world.root())
        .with_retry(quick())
        .with_mirrors(mirrors)
}

#[tokio::test]
async fn c45_a_second_source_goes_on_in_the_middle_of_a_file() {
    let world = World::new();
    let path = "models/unet.bin";
    let content = release().content(path).to_vec();
    let bad = ScriptedServer::start([
        Reply::ok(content.clone()).etag("\"a\"").cut_after(120_000),
        Reply::status("404 Not Found"),
    ])
    .await;
    let good = ScriptedServer::start([Reply::partial(120_000, &content).etag("\"b\"")]).await;
    let release = release().with_base(base(&good));

    let updater = over_http(&world, [base(&bad)]).build().unwrap();
    let report = apply(&updater, &release).await.unwrap();
    assert_eq!(report.bytes_downloaded, 200_000, "no byte twice");
    let range = good.requests()[0].header("range").map(str::to_owned);
    assert_eq!(range.as_deref(), Some("bytes=120000-"));
    bad.assert_finished();
    good.assert_finished();
    world.assert_active(&release, &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn a_new_process_goes_on_where_the_old_one_was_stopped() {
    let world = World::new();
    let content = noise(1, 200_000);
    let silent = Reply::ok(content.clone()).etag("\"a\"").hold_after(70_000);
    let server = ScriptedServer::start([Exchange::from(silent)]).await;
    let release = release().with_base(base(&server));

    let cancel = CancellationToken::new();
    let (stop, came) = (cancel.clone(), Arc::new(AtomicU64::new(0)));
    let listener = move |event: &Event| {
        if let Event::DownloadAdvanced { received, .. } = event
            && came.fetch_add(*received, Ordering::SeqCst) + received == 70_000
        {
            stop.cancel();
        }
    };
    let updater = over_http(&world, [])
        .with_observer(listener)
        .build()
        .unwrap();
    let error = updater
        .apply(&release.trusted(), &cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    assert!(!world.path("current.txt").exists());
    drop(updater);

    server.push(Reply::partial(70_000, &content).etag("\"a\""));
    let report = apply(&over_http(&world, []).build().unwrap(), &release)
        .await
        .unwrap();
    assert_eq!((report.downloaded, report.bytes_resumed), (1, 70_000));
    assert_eq!(report.bytes_downloaded, 130_000);
    let second = &server.requests()[1];
    assert_eq!(second.header("range"), Some("bytes=70000-"));
    assert_eq!(second.header("if-range"), Some("\"a\""));
    server.assert_finished();
    world.assert_active(&release, &[]);
    world.assert_tidy();
}

#[tokio::test]
async fn a_partial_file_that_no_longer_fits_is_fetched_again_once() {
    let world = World::new();
    let content = noise(1, 200_000);
    let cut = Reply::ok(noise(2, 200_000)).etag("\"a\"").cut_after(70_000);
    let server = ScriptedServer::start([
        cut,
        // The file at the source is another one by now, and it is the right one.
        Reply::ok(content.clone()).etag("\"b\""),
    ])
    .await;
    let release = release().with_base(base(&server));
    let report = apply(&over_http(&world, []).build().unwrap(), &release)
        .await
        .unwrap();
    assert_eq!(report.bytes_downloaded, 270_000);
    server.assert_finished();
    world.assert_active(&release, &[]);
}

#[tokio::test]
async fn partial_files_of_a_release_that_is_no_longer_wanted_are_removed() {
    let (world, given_up) = (World::new(), release());
    world.serve(&given_up);
    let gated = Gated::new(&world.memory, 50_000);
    let cancel = CancellationToken::new();
    let updater = builder(&world.root(), Arc::new(gated.clone()))
        .build()
        .unwrap();
    let trusted = given_up.trusted();
    let (result, ()) = tokio::join!(updater.apply(&trusted, &cancel), async {
        gated.reached(1).await;
        cancel.cancel();
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);

    let wanted = Release::new("1.0.1").file("main.py", "small");
    world.install(&wanted).await;
    world.assert_active(&wanted, &[]);
    world.assert_tidy();
}
