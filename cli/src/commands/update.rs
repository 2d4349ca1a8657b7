use std::ffi::OsStr;
use std::time::Duration;

use updater::{
    CommandProbe, Downgrade, ErrorKind, FailedReleases, TrustPolicy, Updater, UpdaterBuilder,
};

use crate::args;
use crate::exit::{Exit, Failure};
use crate::output::{Reply, human, json};
use crate::progress::Progress;
use crate::signals;

pub(crate) async fn run(arguments: args::Update) -> Result<Reply, Failure> {
    let progress = Progress::default();
    let cancel = signals::cancellation(signals::STOPPING)?;

    let updater = builder(&arguments, &progress).build()?;
    let fetched = updater.fetch_manifest(&arguments.manifest, &cancel).await;
    let manifest = fetched.map_err(|error| match error.kind() {
        ErrorKind::NotFound if arguments.manifest.scheme() == "file" => Failure::from(error)
            .with_hint("--manifest takes the path or the URL of a manifest.json"),
        _ => error.into(),
    })?;
    let mut mirrors = arguments.mirrors.clone();
    if mirrors.is_empty() {
        mirrors.extend(updater::mirror_of(&arguments.manifest, &manifest));
    }
    let policy = arguments
        .require_hash
        .map_or(TrustPolicy::Unsigned, TrustPolicy::Pinned);
    let trusted = policy.trust(manifest)?;
    let updater = updater.with_mirrors(mirrors);

    if arguments.dry_run {
        let plan = updater.plan(&trusted).await?;
        let warnings = progress.warnings(trusted.manifest().warnings());
        return Ok(Reply::report(&human::plan(&plan), json::plan(&plan)).with_warnings(warnings));
    }
    progress.expect_hashing(trusted.manifest().total_size());
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
        .with_observer(progress.observer())
        .with_downgrade(downgrade)
        .with_failed_releases(failed)
        .with_keep_previous(arguments.keep)
        .with_link_policy(arguments.link.into())
        .with_parallel_downloads(arguments.jobs);
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
