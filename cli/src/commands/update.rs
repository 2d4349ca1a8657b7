use std::ffi::OsStr;
use std::time::Duration;

use updater::{
    ArchiveOrder, CommandProbe, Downgrade, ErrorKind, FailedReleases, RedirectPolicy, TrustPolicy,
    Updater, UpdaterBuilder,
};
use url::Url;

use crate::args;
use crate::exit::{Exit, Failure};
use crate::output::{Reply, human, json};
use crate::progress::Progress;
use crate::signals;

/// Where github.com sends whoever asks for a file of a release.
const GITHUB_ASSETS: [&str; 2] = [
    "objects.githubusercontent.com",
    "release-assets.githubusercontent.com",
];

pub(crate) async fn run(arguments: args::Update) -> Result<Reply, Failure> {
    let progress = Progress::default();
    let cancel = signals::cancellation(signals::STOPPING)?;

    let updater = builder(&arguments, &progress).build()?;
    let trust = arguments
        .require_hash
        .map_or(TrustPolicy::Unsigned, TrustPolicy::Pinned);
    let fetched = match &arguments.manifest {
        Some(url) => updater.fetch_manifest(url, &trust, &cancel).await,
        None => updater.fetch_archive_manifest(&trust, &cancel).await,
    };
    let trusted = fetched.map_err(|error| match (error.kind(), &arguments.manifest) {
        (ErrorKind::NotFound, Some(url)) if url.scheme() == "file" => Failure::from(error)
            .with_hint("--manifest takes the path or the URL of a manifest.json"),
        (ErrorKind::NotFound, None) => {
            Failure::from(error).with_hint("--zip takes the path or the URL of a release ZIP")
        }
        _ => error.into(),
    })?;

    if arguments.dry_run {
        let plan = updater.plan(&trusted).await?;
        let warnings = progress.warnings(trusted.manifest().warnings());
        return Ok(Reply::report(&human::plan(&plan), json::plan(&plan)).with_warnings(warnings));
    }
    let applied = updater.apply(&trusted, &cancel).await;
    progress.clear();
    let report = applied?;
    let exit = if report.matches_required() {
        Exit::Done
    } else {
        Exit::Failed
    };
    let human = human::update(&report, arguments.require_hash.is_some());
    Ok(Reply::report(&human, json::update(&report))
        .with_warnings(progress.warnings(&report.warnings))
        .with_exit(exit))
}

fn builder(arguments: &args::Update, progress: &Progress) -> UpdaterBuilder {
    let downgrade = if arguments.allow_downgrade {
        Downgrade::Allow
    } else {
        Downgrade::Refuse
    };
    let failed = if arguments.retry_failed {
        FailedReleases::Retry
    } else {
        FailedReleases::Refuse
    };
    let builder = Updater::builder(&arguments.place.root)
        .with_mirrors(arguments.mirrors.clone())
        .with_observer(progress.observer())
        .with_downgrade(downgrade)
        .with_failed_releases(failed)
        .with_keep_previous(arguments.keep)
        .with_link_policy(arguments.link.into())
        .with_parallel_downloads(arguments.jobs);
    let builder = match &arguments.zip {
        Some(zip) => with_zip(builder, zip, arguments.manifest.is_some()),
        None => builder,
    };
    let deadline = Duration::from_secs(arguments.health_deadline);
    match (&arguments.health_command, &arguments.health_url) {
        (Some(command), _) => {
            let shell = CommandProbe::new("sh").with_arguments([OsStr::new("-c"), command]);
            builder.with_health_probe(shell, deadline)
        }
        (None, Some(url)) => builder.with_health_url(url.clone(), deadline),
        (None, None) => builder,
    }
}

/// Beside a manifest it is the last resort; alone it is the release.
fn with_zip(builder: UpdaterBuilder, zip: &Url, is_beside_manifest: bool) -> UpdaterBuilder {
    let order = if is_beside_manifest {
        ArchiveOrder::Last
    } else {
        ArchiveOrder::First
    };
    let builder = builder.with_archive(zip.clone(), order);
    if zip.host_str() != Some("github.com") {
        return builder;
    }
    let hosts = GITHUB_ASSETS.map(str::to_owned);
    builder.with_redirects(RedirectPolicy::Hosts(hosts.into()))
}
