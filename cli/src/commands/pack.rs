use std::ops::ControlFlow;

use manifest_core::ScanOptions;
use package::{ErrorKind, Existing, Latest, PackProgress, Packer, ToolFolder};
use updater::CancellationToken;

use crate::args;
use crate::commands::manifest::refuse_installation;
use crate::exit::Failure;
use crate::output::{Reply, pack};
use crate::progress::FolderProgress;
use crate::signals;

/// Blocks; the runtime that it is called in hears the signals.
pub(crate) fn run(arguments: &args::Pack) -> Result<Reply, Failure> {
    let folders = folders(arguments)?;
    let cancel = signals::cancellation(signals::STOPPING)?;
    let existing = if arguments.force {
        Existing::Replace
    } else {
        Existing::Refuse
    };
    let latest = if arguments.allow_downgrade {
        Latest::Packed
    } else {
        Latest::Highest
    };
    let dist = arguments.out.as_path();
    let mut packer = Packer::new(dist)
        .with_existing(existing)
        .with_latest(latest);
    if let Some(url) = &arguments.release_url {
        packer = packer.with_release_url(url.clone());
    }

    let progress = Progress::new(&cancel);
    let hear = |event: PackProgress<'_>| progress.hear(event);
    let is_named = arguments.tool_id.is_some() && arguments.tool_version.is_some();
    let explain = |error: package::Error| match error.kind() {
        ErrorKind::Tool if !is_named => Failure::from(error).with_hint(UNNAMED),
        _ => error.into(),
    };
    let reply = if arguments.dry_run {
        let plan = packer.plan(&folders, hear).map_err(explain)?;
        Reply::report(&pack::plan(dist, &plan), pack::plan_json(dist, &plan))
            .with_warnings(plan.warnings)
    } else {
        let done = packer.pack(&folders, hear).map_err(explain)?;
        Reply::report(&pack::packed(dist, &done), pack::packed_json(dist, &done))
            .with_warnings(done.warnings)
    };
    Ok(reply)
}

const UNNAMED: &str = "a tool is named by \"tool_id\" and \"version\" in the tool.json of its folder; for a single \
                       folder, --tool-id and --tool-version do, too";

fn folders(arguments: &args::Pack) -> Result<Vec<ToolFolder>, Failure> {
    if arguments.dirs.len() > 1 && (arguments.tool_id.is_some() || arguments.tool_version.is_some())
    {
        let text = "--tool-id and --tool-version name one folder, and several are given";
        return Err(Failure::usage(text.into()));
    }
    let mut options = ScanOptions::new();
    if let Some(id) = &arguments.tool_id {
        options = options.with_tool_id(id.clone());
    }
    if let Some(version) = &arguments.tool_version {
        options = options.with_tool_version(version.clone());
    }
    if let Some(base) = &arguments.base_url {
        options = options.with_base_url(base.clone());
    }
    if let Some(time) = &arguments.created_at {
        options = options.with_created_at(time.clone());
    }
    let folders = arguments.dirs.iter().map(|dir| {
        refuse_installation(dir)?;
        Ok(ToolFolder::new(dir).with_scan_options(options.clone()))
    });
    folders.collect()
}

/// One bar for what is hashed, one for what is packed, each over all folders.
struct Progress<'c> {
    hashing: FolderProgress<'c>,
    packing: FolderProgress<'c>,
}

impl<'c> Progress<'c> {
    fn new(cancel: &'c CancellationToken) -> Self {
        Self {
            hashing: FolderProgress::new("hashing", cancel),
            packing: FolderProgress::new("packing", cancel),
        }
    }

    fn hear(&self, progress: PackProgress<'_>) -> ControlFlow<()> {
        match progress {
            PackProgress::Scanning { folder } => tracing::info!("hashing {}", folder.display()),
            PackProgress::Scanned(scanned) => return self.hashing.hear(scanned),
            PackProgress::Archive { name, bytes } => {
                tracing::info!("packing {name}");
                self.packing.expect(bytes);
            }
            PackProgress::Packed(bytes) => self.packing.advance(bytes),
            _ => {}
        }
        self.packing.go_on()
    }
}
