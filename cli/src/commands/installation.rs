//! Commands about what is installed.

use updater::{ErrorKind, Required, Updater, UpdaterBuilder};

use crate::args::{self, Place};
use crate::exit::{Exit, Failure};
use crate::output::{Reply, human, json};
use crate::progress::Progress;
use crate::signals;

fn builder(place: &Place, progress: &Progress) -> UpdaterBuilder {
    Updater::builder(&place.root).with_observer(progress.observer())
}

pub(crate) async fn status(place: Place) -> Result<Reply, Failure> {
    let status = builder(&place, &Progress::default())
        .build()?
        .status()
        .await?;
    Ok(Reply::report(
        &human::status(&place.root, &status),
        json::value(&status),
    ))
}

pub(crate) async fn verify(place: Place) -> Result<Reply, Failure> {
    let progress = Progress::default();
    let cancel = signals::cancellation(signals::STOPPING)?;
    let updater = builder(&place, &progress).build()?;
    let verified = updater.verify(&cancel).await;
    progress.clear();
    let report = verified?;
    let reply = Reply::report(&human::verify(&report), json::verify(&report));
    if report.is_intact() {
        return Ok(reply);
    }
    let hint = format!(
        "hint: `lockstep repair --root {}` replaces what is damaged",
        place.root.display()
    );
    Ok(reply.with_exit(Exit::Failed).with_notes(vec![hint]))
}

pub(crate) async fn repair(arguments: args::Repair) -> Result<Reply, Failure> {
    let progress = Progress::default();
    let cancel = signals::cancellation(signals::STOPPING)?;
    let updater = builder(&arguments.place, &progress)
        .with_mirrors(arguments.mirrors)
        .build()?;
    let repaired = updater.repair(&cancel).await;
    progress.clear();
    let report = repaired?;
    Ok(
        Reply::report(&human::repair(&report), json::repair(&report))
            .with_warnings(progress.warnings(&[])),
    )
}

pub(crate) async fn rollback(arguments: args::Rollback) -> Result<Reply, Failure> {
    let progress = Progress::default();
    let cancel = signals::cancellation(signals::STOPPING)?;
    let updater = builder(&arguments.place, &progress).build()?;
    let rolled_back = updater.rollback(arguments.version, &cancel).await;
    progress.clear();
    let report = rolled_back.map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Failure::from(error).with_hint("`lockstep status` lists what is installed")
        }
        _ => error.into(),
    })?;
    Ok(
        Reply::report(&human::rollback(&report), json::rollback(&report))
            .with_warnings(progress.warnings(&[])),
    )
}

pub(crate) async fn prune(arguments: args::Prune) -> Result<Reply, Failure> {
    let progress = Progress::default();
    let updater = builder(&arguments.place, &progress)
        .with_keep_previous(arguments.keep)
        .build()?;
    if arguments.dry_run {
        let plan = updater.plan_prune().await?;
        return Ok(Reply::report(
            &human::plan_prune(&plan),
            json::plan_prune(&plan),
        ));
    }
    let report = updater.prune().await?;
    Ok(Reply::report(&human::prune(&report), json::prune(&report))
        .with_warnings(progress.warnings(&[])))
}

pub(crate) async fn history(place: Place) -> Result<Reply, Failure> {
    let entries = builder(&place, &Progress::default())
        .build()?
        .history()
        .await?;
    Ok(Reply::report(
        &human::history(&entries),
        json::history(&entries),
    ))
}

pub(crate) async fn eligibility(arguments: args::Eligibility) -> Result<Reply, Failure> {
    let args::Eligibility {
        place,
        version,
        manifest_hash,
    } = arguments;
    let required = Required {
        version,
        manifest_hash,
    };
    let answer = builder(&place, &Progress::default())
        .build()?
        .eligibility(&required)
        .await?;
    let exit = if answer.is_eligible() {
        Exit::Done
    } else {
        Exit::Refused
    };
    let reply = Reply::report(&format!("{}\n", answer.as_str()), json::value(&answer));
    let reasons = answer.reasons().iter().map(ToString::to_string);
    Ok(reply.with_exit(exit).with_notes(reasons.collect()))
}
