//! `lockstep hot-swap`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hot_swap::{
    Build, Candidate, CommandProbe, Container, Event, LocalProcess, OnFailure, Outcome, Scope,
    SourceChanges, SystemdUnit, UrlProbe,
};

use crate::args::hot_swap::{Clean, HotSwap, HotSwapCommand, Rollback, Service, Swap, Target};
use crate::exit::Failure;
use crate::output::{self, Reply, hot_swap as shown};
use crate::signals;

pub(crate) async fn run(arguments: HotSwap) -> Result<Reply, Failure> {
    match (arguments.command, arguments.swap) {
        (Some(HotSwapCommand::Rollback(rollback)), _) => back(*rollback).await,
        (Some(HotSwapCommand::List(target)), _) => list(&target),
        (Some(HotSwapCommand::Clean(clean)), _) => self::clean(&clean),
        (None, Some(swap)) => self::swap(swap).await,
        // clap asks for one of them.
        (None, None) => Err(Failure::usage("a candidate is needed".into())),
    }
}

async fn swap(arguments: Swap) -> Result<Reply, Failure> {
    let candidate = match (arguments.candidate, arguments.release, arguments.file) {
        (Some(file), ..) => Candidate::File(file),
        (None, Some(root), Some(path)) => Candidate::release(root, path),
        _ => {
            return Err(Failure::usage(
                "--candidate, or --release and --file, are needed".into(),
            ));
        }
    };
    let mut swap = with_service(&arguments.target, candidate, &arguments.service)?;
    if let Some(command) = &arguments.build {
        swap = swap.with_build(Build::new("sh", [OsStr::new("-c"), command]));
    }
    if let Some(folder) = &arguments.sources {
        swap = swap.with_sources(folder);
    }
    match &arguments.sources {
        Some(folder) if arguments.watch => watch(&swap, folder, arguments.target.json).await,
        _ => once(&swap, &arguments.service).await,
    }
}

async fn back(arguments: Rollback) -> Result<Reply, Failure> {
    let candidate = Candidate::Backup(arguments.to);
    let swap = with_service(&arguments.target, candidate, &arguments.service)?;
    once(&swap, &arguments.service).await
}

async fn once(swap: &hot_swap::HotSwap, service: &Service) -> Result<Reply, Failure> {
    if service.dry_run {
        let plan = swap.plan().await?;
        return Ok(Reply::report(&shown::plan(&plan), shown::plan_json(&plan)));
    }
    let cancel = signals::cancellation(signals::STOPPING)?;
    let report = swap.run(&cancel).await?;
    Ok(answer(&report))
}

fn answer(report: &hot_swap::Report) -> Reply {
    Reply::report(&shown::report(report), output::json::value(report))
        .with_warnings(report.warnings.clone())
}

/// Each swap is answered for itself, as it comes; Ctrl-C is the way to end, and no failure.
async fn watch(swap: &hot_swap::HotSwap, folder: &Path, is_json: bool) -> Result<Reply, Failure> {
    let cancel = signals::cancellation(signals::STOPPING)?;
    let mut changes = SourceChanges::of(folder)?;
    let format = if is_json {
        output::Format::Json
    } else {
        output::Format::Human
    };
    let each = |done: Result<hot_swap::Report, hot_swap::Error>| {
        let is_stopped_early = |error: &hot_swap::Error| {
            let before = |report: &hot_swap::Report| report.outcome == Outcome::NotSwapped;
            error.kind() == hot_swap::ErrorKind::Cancelled && error.report().is_none_or(before)
        };
        if done.as_ref().is_err_and(is_stopped_early) {
            return;
        }
        output::finish(
            done.map(|report| answer(&report)).map_err(Failure::from),
            format,
        );
        output::note(&format!("watching {}; Ctrl-C ends", folder.display()));
    };
    swap.watch(&mut changes, each, &cancel).await?;
    Ok(Reply::text(""))
}

fn list(target: &Target) -> Result<Reply, Failure> {
    let swap = bare(target, Candidate::previous())?;
    let backups = swap.backups()?;
    Ok(Reply::report(
        &shown::backups(&backups, &swap.state_folder()?),
        output::json::value(&serde_json::json!({"target": target.binary, "backups": backups})),
    ))
}

fn clean(arguments: &Clean) -> Result<Reply, Failure> {
    let swap = bare(&arguments.target, Candidate::previous())?;
    let cleaned = if arguments.dry_run {
        swap.plan_clean(arguments.keep)?
    } else {
        swap.clean(arguments.keep)?
    };
    Ok(Reply::report(
        &shown::cleaned(&cleaned, arguments.dry_run),
        output::json::value(&cleaned),
    ))
}

/// A swap without anything that runs the binary.
fn bare(target: &Target, candidate: Candidate) -> Result<hot_swap::HotSwap, Failure> {
    let container = container(target)?;
    let state = match (&target.state, &container) {
        (Some(folder), _) => Some(folder.join(name_of(target))),
        (None, Some(_)) => Some(state_home()?.join(name_of(target))),
        (None, None) => None,
    };
    let mut swap = hot_swap::HotSwap::new(&target.binary, candidate);
    if let Some(container) = container {
        swap = swap.with_container(container);
    }
    if let Some(state) = state {
        swap = swap.with_state_folder(state);
    }
    Ok(swap)
}

fn with_service(
    target: &Target,
    candidate: Candidate,
    service: &Service,
) -> Result<hot_swap::HotSwap, Failure> {
    let mut swap = bare(target, candidate)?
        .with_deadline(service.deadline)
        .with_settle_time(service.settle)
        .with_keep_backups(service.keep_backups);
    if let Some(unit) = &service.systemd {
        let scope = if service.user {
            Scope::User
        } else {
            Scope::System
        };
        swap = swap.with_runtime(SystemdUnit::new(unit).with_scope(scope));
    } else if let Some(pid_file) = &service.pid_file {
        let process = LocalProcess::supervised(pid_file).with_signal(service.signal.into());
        swap = swap.with_runtime(logged(process, service.log.clone()));
    } else if let Some((program, arguments)) = service.start.split_first() {
        let state = swap.state_folder()?;
        let process = LocalProcess::command(program, arguments, state.join("service.pid"))
            .with_grace(service.grace);
        let log = service
            .log
            .clone()
            .unwrap_or_else(|| state.join("service.log"));
        swap = swap.with_runtime(logged(process, Some(log)));
    } else if let Some(container) = container(target)? {
        let container = match &service.image {
            Some(image) => container
                .created_from(image)
                .with_create_arguments(&service.create_arguments),
            None => container,
        };
        swap = swap.with_container(container);
    }
    if service.no_restart {
        swap = swap.without_restart();
    }
    if service.no_rollback {
        swap = swap.with_on_failure(OnFailure::Leave);
    }
    if let Some(version) = &service.expect_version {
        swap = match &service.version_arguments[..] {
            [] => swap.with_version(version, ["--version"]),
            arguments => swap.with_version(version, arguments),
        };
    }
    if let Some(command) = &service.health_command {
        swap = swap.with_probe(CommandProbe::new("sh", [OsStr::new("-c"), command]));
    }
    if let Some(url) = &service.health_url {
        swap = swap.with_probe(UrlProbe::new(url.clone(), http()?));
    }
    Ok(if service.quiet {
        swap
    } else {
        swap.with_observer(hear)
    })
}

fn logged(process: LocalProcess, log: Option<PathBuf>) -> LocalProcess {
    match log {
        Some(log) => process.with_log(log),
        None => process,
    }
}

fn hear(event: &Event) {
    match event {
        // What takes long says so itself.
        Event::Started(hot_swap::Step::Build) => output::note("build"),
        Event::Output(line) => output::note(&format!("  {line}")),
        Event::Ended(_) => output::note(&event.to_string()),
        _ => {}
    }
}

fn http() -> Result<Arc<dyn downloader::Downloader>, Failure> {
    let http = downloader::HttpDownloader::new(downloader::HttpConfig::new());
    let http = http.map_err(|error| Failure::io("cannot set up HTTP".into(), &error))?;
    Ok(Arc::new(http))
}

fn container(target: &Target) -> Result<Option<Container>, Failure> {
    let Some(name) = &target.container else {
        return Ok(None);
    };
    let engine = match &target.engine {
        Some(engine) => engine.clone(),
        None => ["docker", "podman"]
            .into_iter()
            .find(|engine| is_installed(engine))
            .ok_or_else(|| {
                let text = "neither docker nor podman is installed".to_owned();
                Failure::usage(text).with_hint("name the engine's command line with --engine")
            })?
            .into(),
    };
    Ok(Some(Container::new(engine, name)))
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// XDG Base Directory Specification, `$XDG_STATE_HOME`.
fn state_home() -> Result<PathBuf, Failure> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    let home = home.ok_or_else(|| {
        let text = "neither XDG_STATE_HOME nor HOME says where to keep backups".to_owned();
        Failure::usage(text).with_hint("name a folder with --state")
    })?;
    Ok(home.join("lockstep/hot-swap"))
}

/// A name for each binary of each container and of this machine, whatever is in its path.
fn name_of(target: &Target) -> String {
    let path = match &target.container {
        Some(_) => target.binary.clone(),
        None => std::path::absolute(&target.binary).unwrap_or_else(|_| target.binary.clone()),
    };
    let container = target.container.as_deref().unwrap_or_default();
    let both = format!("{container}:{}", path.display());
    let plain = both.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let digest = hot_swap::Sha256Digest::of(both.as_bytes()).to_string();
    // The end says more than the beginning.
    let plain = &plain[plain.len().saturating_sub(60)..];
    format!("{}-{}", plain.trim_matches('-'), &digest[..8])
}
