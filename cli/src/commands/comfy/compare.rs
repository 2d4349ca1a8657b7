//! Commands that compare.

use std::path::Path;

use serde_json::json;
use version_spec::{
    CancellationToken, Comfy, Comparison, Environment, Home, Lock, LockDiff, Refresh, VersionId,
};

use super::setup::{absolute, open, read};
use crate::args::comfy::{Diff, Two};
use crate::exit::{Exit, Failure};
use crate::output::{Reply, json};
use crate::progress::ComfyProgress;
use crate::signals;

pub(super) async fn compare(arguments: Two) -> Result<Reply, Failure> {
    let comfy = open(&arguments.places, &ComfyProgress::default())?;
    let cancel = signals::cancellation(signals::STOPPING)?;
    let left = environment(&comfy, &arguments.left, &cancel).await?;
    let right = environment(&comfy, &arguments.right, &cancel).await?;
    let comparison = Comparison::between(&left, &right);
    let human = if comparison.is_empty() {
        "nothing differs\n".to_owned()
    } else {
        format!("{comparison}\n")
    };
    let exit = if comparison.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    };
    let mut object = json::value(&comparison);
    object["equal"] = comparison.is_empty().into();
    Ok(Reply::report(&human, object)
        .with_warnings(comparison.unknown.clone())
        .with_exit(exit))
}

/// A folder, a lock file, or the id of a version.
async fn environment(
    comfy: &Comfy,
    text: &str,
    cancel: &CancellationToken,
) -> Result<Environment, Failure> {
    let path = Path::new(text);
    if path.is_dir() {
        return Ok(comfy
            .environment(&Home::new(absolute(path)?), cancel)
            .await?);
    }
    let lock = lock(comfy, text)?;
    let spec = comfy.spec(&lock.version_id).ok().map(|parsed| parsed.spec);
    Ok(Environment::of_lock(spec.as_ref(), &lock))
}

/// A lock file, or that of a version.
fn lock(comfy: &Comfy, text: &str) -> Result<Lock, Failure> {
    let path = Path::new(text);
    if path.is_file() {
        return Lock::parse(&read(path)?).map_err(|error| Failure::from(error).about(text));
    }
    let id: VersionId = text.parse()?;
    let none = || {
        Failure::usage(format!(
            "{text} is neither a file nor a version with a lock"
        ))
        .with_hint("`lockstep comfy resolve` makes the lock of a version")
    };
    comfy.locks().load(&id)?.ok_or_else(none)
}

pub(super) async fn diff(arguments: Diff) -> Result<Reply, Failure> {
    let comfy = open(&arguments.places, &ComfyProgress::default())?;
    let before = lock(&comfy, &arguments.before)?;
    let diff = if let Some(after) = &arguments.after {
        LockDiff::between(&before, &lock(&comfy, after)?)
    } else {
        let cancel = signals::cancellation(signals::STOPPING)?;
        let spec = comfy.spec(&before.version_id)?.spec;
        let mut after = comfy.look_up(&spec, Refresh::Yes, &cancel).await?.lock;
        // Packages are not locked for a look.
        after.python.clone_from(&before.python);
        LockDiff::between(&before, &after)
    };
    let human = if diff.is_empty() {
        "nothing changed\n".to_owned()
    } else {
        format!("{diff}\n")
    };
    Ok(Reply::report(
        &human,
        json!({"changed": !diff.is_empty(), "changes": diff.changes}),
    ))
}
