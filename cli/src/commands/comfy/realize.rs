//! Commands that work on one version.

use serde_json::json;
use version_spec::{DryRun, ErrorKind, Lock, Outcome, Refresh, Resolved, SpecFile};

use super::setup::{Session, absolute, home_of, open};
use crate::args::comfy::{Delete, MakeBundle, Pin, Realize, Resolve, VerifyModels};
use crate::exit::{Exit, Failure};
use crate::output::{Reply, comfy as output, json};
use crate::progress::ComfyProgress;
use crate::signals;

fn refresh(asked: bool) -> Refresh {
    if asked { Refresh::Yes } else { Refresh::No }
}

fn dry(asked: bool) -> DryRun {
    if asked { DryRun::Yes } else { DryRun::No }
}

impl Session {
    async fn resolved(&mut self, refresh: Refresh, dry_run: DryRun) -> Result<Resolved, Failure> {
        let resolved = match dry_run {
            DryRun::Yes => self.comfy.look_up(&self.spec, refresh, &self.cancel).await,
            _ => self.comfy.resolve(&self.spec, refresh, &self.cancel).await,
        }?;
        self.warnings
            .extend(resolved.warnings.iter().map(ToString::to_string));
        Ok(resolved)
    }

    async fn lock(&mut self, refresh: Refresh) -> Result<Lock, Failure> {
        Ok(self.resolved(refresh, DryRun::No).await?.lock)
    }

    fn all_warnings(&mut self, more: Vec<String>) -> Vec<String> {
        let mut all = std::mem::take(&mut self.warnings);
        for warning in more {
            if !all.contains(&warning) {
                all.push(warning);
            }
        }
        all
    }
}

pub(super) async fn resolve(arguments: Resolve) -> Result<Reply, Failure> {
    let mut session = Session::open(&arguments.version)?;
    let resolved = session
        .resolved(refresh(arguments.refresh), dry(arguments.dry_run))
        .await?;
    let path = session.comfy.locks().path_of(&session.spec.version_id);
    let json = output::resolved_json(&resolved, &path);
    Ok(Reply::report(&output::resolved(&resolved, &path), json).with_warnings(session.warnings))
}

pub(super) async fn realize(arguments: Realize) -> Result<Reply, Failure> {
    let mut session = Session::open(&arguments.version)?;
    let refresh = refresh(arguments.refresh);
    if arguments.dry_run {
        let lock = session.resolved(refresh, DryRun::Yes).await?.lock;
        let plan = session.comfy.plan(&session.spec, &lock, &session.home)?;
        let warnings = session.all_warnings(plan.warnings.clone());
        return Ok(
            Reply::report(&output::plan(&plan), output::plan_json(&plan)).with_warnings(warnings),
        );
    }
    let lock = session.lock(refresh).await?;
    let realized = session
        .comfy
        .realize(&session.spec, &lock, &session.home, &session.cancel)
        .await;
    session.progress.clear();
    let realized = realized?;
    let exit = if realized.outcome == Outcome::Complete {
        Exit::Done
    } else {
        Exit::Failed
    };
    let warnings = session.all_warnings(realized.warnings.clone());
    let (human, json) = (
        output::realized(&session.home, &realized),
        output::realized_json(&session.home, &realized),
    );
    Ok(Reply::report(&human, json)
        .with_warnings(warnings)
        .with_exit(exit))
}

pub(super) async fn delete(arguments: Delete) -> Result<Reply, Failure> {
    // What there is of a version can go although its spec is gone.
    let (comfy, id, home, cancel) = if let Some(id) = &arguments.version.version_id {
        let comfy = open(&arguments.version.places, &ComfyProgress::default())?;
        let home = home_of(id, arguments.version.target.as_deref())?;
        (
            comfy,
            id.clone(),
            home,
            signals::cancellation(signals::STOPPING)?,
        )
    } else {
        let session = Session::open(&arguments.version)?;
        (
            session.comfy,
            session.spec.version_id,
            session.home,
            session.cancel,
        )
    };
    let spec_file = if arguments.remove_spec {
        SpecFile::Remove
    } else {
        SpecFile::Keep
    };
    let dry_run = dry(arguments.dry_run);
    let report = comfy
        .delete(&id, Some(&home), spec_file, dry_run, &cancel)
        .await?;
    let json = output::deleted_json(&report, arguments.dry_run);
    Ok(Reply::report(
        &output::deleted(&report, arguments.dry_run),
        json,
    ))
}

pub(super) async fn verify_models(arguments: VerifyModels) -> Result<Reply, Failure> {
    let mut session = Session::open(&arguments.version)?;
    let lock = session.lock(Refresh::No).await?;
    let verified = session
        .comfy
        .verify_models(
            &session.spec,
            &lock,
            dry(arguments.dry_run),
            &session.cancel,
        )
        .await?;
    let exit = if verified.is_good() {
        Exit::Done
    } else {
        Exit::Failed
    };
    Ok(Reply::report(
        &output::verified(&verified),
        output::verified_json(&verified),
    )
    .with_warnings(session.warnings)
    .with_exit(exit))
}

pub(super) async fn pin(arguments: Pin) -> Result<Reply, Failure> {
    let mut session = Session::open(&arguments.version)?;
    let lock = session.lock(refresh(arguments.refresh)).await?;
    let pinned = session
        .comfy
        .pin(&session.spec, &lock, &session.cancel)
        .await?;
    let path = session.comfy.locks().path_of(&session.spec.version_id);
    let requirements = pinned
        .lock
        .python
        .as_ref()
        .map(|python| python.requirements.as_str())
        .unwrap_or_default();
    let json = json!({
        "version_id": session.spec.version_id,
        "lock": path.display().to_string(),
        "requirements": requirements,
    });
    let warnings = session.all_warnings(pinned.warnings);
    Ok(Reply::report(requirements, json).with_warnings(warnings))
}

pub(super) async fn bundle(arguments: MakeBundle) -> Result<Reply, Failure> {
    let mut session = Session::open(&arguments.version)?;
    let lock = session.lock(Refresh::No).await?;
    let out = absolute(&arguments.out)?;
    let made = session
        .comfy
        .bundle(&session.spec, &lock, &out, &session.cancel)
        .await;
    let bundle = made.map_err(|error| match error.kind() {
        ErrorKind::Offline => Failure::from(error)
            .with_hint("a bundle is made where the network is, or where the version is realized"),
        _ => error.into(),
    })?;
    let human = format!(
        "made {}; there: lockstep comfy realize --bundle {}\n",
        bundle.path.display(),
        bundle.path.display()
    );
    let json = json!({"version_id": bundle.version_id, "bundle": json::value(&bundle.path)});
    Ok(Reply::report(&human, json).with_warnings(session.warnings))
}
