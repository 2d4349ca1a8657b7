//! What differs between two locks, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use manifest_core::Sha256Digest;
use serde::Serialize;

use super::{Lock, LockedModel, LockedPython, LockedSource};
use crate::CommitId;

/// What differs between two locks: ComfyUI, the nodes, the models, the packages.
///
/// `Display` is one line for each change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LockDiff {
    /// The changes, in this order.
    pub changes: Vec<LockChange>,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "there are a few of them, and they are matched on"
)]
pub enum LockChange {
    /// ComfyUI or a node.
    Source {
        /// `ComfyUI`, or the name of the node.
        name: String,
        /// What it was; `None` if it is new.
        before: Option<LockedSource>,
        /// What it is; `None` if it is gone.
        after: Option<LockedSource>,
        /// Why.
        why: SourceReason,
    },
    /// A model.
    Model {
        /// The source as the spec writes it.
        source: String,
        /// What it was; `None` if it was not pinned.
        before: Option<LockedModel>,
        /// What it is; `None` if it is not pinned any more.
        after: Option<LockedModel>,
        /// Why.
        why: ModelReason,
    },
    /// A Python package.
    Package {
        /// Its name.
        name: String,
        /// The version that it had; `None` if it is new.
        before: Option<String>,
        /// The version that it has; `None` if it is gone.
        after: Option<String>,
        /// Why.
        why: PackageReason,
    },
}

/// Why ComfyUI or a node differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SourceReason {
    /// The branch or tag points to another commit now.
    RefMoved,
    /// The spec names another branch, tag or commit.
    RevisionChanged,
    /// The spec names another repository.
    RepoChanged,
    /// The spec names it for the first time.
    Added,
    /// The spec does not name it any more.
    Removed,
}

/// Why a model differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelReason {
    /// The source has another content than when it was first seen, or the spec has another checksum.
    ContentChanged,
    /// The same content is had from another address.
    AddressChanged,
    /// It is pinned for the first time.
    Added,
    /// It is not pinned any more.
    Removed,
}

/// Why a package differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PackageReason {
    /// The same was asked for, and the index had something else.
    IndexChanged,
    /// Something else was asked for.
    RequirementsChanged,
}

impl LockDiff {
    /// What changed from one lock to another. The entity tags of models are not compared.
    #[must_use]
    pub fn between(before: &Lock, after: &Lock) -> Self {
        let mut changes = Vec::new();
        sources(before, after, &mut changes);
        models(before, after, &mut changes);
        packages(before.python.as_ref(), after.python.as_ref(), &mut changes);
        Self { changes }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// Pairs what has one key: what `before` has, in its order, then what only `after` has.
fn paired<'a, K: PartialEq, T>(
    before: Vec<(K, &'a T)>,
    after: Vec<(K, &'a T)>,
) -> Vec<(K, Option<&'a T>, Option<&'a T>)> {
    let mut rest: Vec<Option<(K, &T)>> = after.into_iter().map(Some).collect();
    let mut pairs = Vec::new();
    for (key, old) in before {
        let same = rest
            .iter_mut()
            .find(|slot| slot.as_ref().is_some_and(|(other, _)| *other == key));
        let new = same.and_then(Option::take).map(|(_, new)| new);
        pairs.push((key, Some(old), new));
    }
    pairs.extend(
        rest.into_iter()
            .flatten()
            .map(|(key, new)| (key, None, Some(new))),
    );
    pairs
}

fn sources(before: &Lock, after: &Lock, changes: &mut Vec<LockChange>) {
    fn named(lock: &Lock) -> Vec<(String, &LockedSource)> {
        lock.custom_nodes
            .iter()
            .map(|node| (node.name.to_string(), &node.source))
            .collect()
    }
    let comfy = [(
        "ComfyUI".to_owned(),
        Some(&before.comfy),
        Some(&after.comfy),
    )];
    for (name, before, after) in comfy.into_iter().chain(paired(named(before), named(after))) {
        if let Some(why) = source_reason(before, after) {
            changes.push(LockChange::Source {
                name,
                before: before.cloned(),
                after: after.cloned(),
                why,
            });
        }
    }
}

fn source_reason(
    before: Option<&LockedSource>,
    after: Option<&LockedSource>,
) -> Option<SourceReason> {
    match (before, after) {
        (None, None) => None,
        (None, Some(_)) => Some(SourceReason::Added),
        (Some(_), None) => Some(SourceReason::Removed),
        (Some(before), Some(after)) if before.means_the_same(after) => None,
        (Some(before), Some(after)) if before.repo != after.repo => Some(SourceReason::RepoChanged),
        (Some(before), Some(after))
            if before.resolved_from.is_some() && before.resolved_from == after.resolved_from =>
        {
            Some(SourceReason::RefMoved)
        }
        (Some(_), Some(_)) => Some(SourceReason::RevisionChanged),
    }
}

fn models(before: &Lock, after: &Lock, changes: &mut Vec<LockChange>) {
    fn named(lock: &Lock) -> Vec<(String, &LockedModel)> {
        lock.models
            .iter()
            .map(|model| (model.source.clone(), model))
            .collect()
    }
    for (source, before, after) in paired(named(before), named(after)) {
        let why = match (before, after) {
            (None, _) => ModelReason::Added,
            (_, None) => ModelReason::Removed,
            (Some(before), Some(after))
                if (before.sha256, before.size) != (after.sha256, after.size) =>
            {
                ModelReason::ContentChanged
            }
            (Some(before), Some(after)) if before.url != after.url => ModelReason::AddressChanged,
            _ => continue,
        };
        changes.push(LockChange::Model {
            source,
            before: before.cloned(),
            after: after.cloned(),
            why,
        });
    }
}

fn packages(
    before: Option<&LockedPython>,
    after: Option<&LockedPython>,
    changes: &mut Vec<LockChange>,
) {
    let request = |python: Option<&LockedPython>| -> Option<Sha256Digest> {
        python.map(|python| python.request_digest)
    };
    let why = if request(before) == request(after) {
        PackageReason::IndexChanged
    } else {
        PackageReason::RequirementsChanged
    };
    let versions = |python: Option<&LockedPython>| {
        python
            .map(|python| pinned(&python.requirements))
            .unwrap_or_default()
    };
    let (old, new) = (versions(before), versions(after));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let (before, after) = (old.get(name), new.get(name));
        if before != after {
            changes.push(LockChange::Package {
                name: name.clone(),
                before: before.cloned(),
                after: after.cloned(),
                why,
            });
        }
    }
}

/// `name==version ; marker --hash=…`: names and what stands behind them, hashes left out. A name that is there twice, for two
/// platforms, has both versions.
pub(crate) fn pinned(requirements: &str) -> BTreeMap<String, String> {
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    for line in requirements.lines() {
        let line = line.split(" --hash=").next().unwrap_or_default();
        let line = line.trim_end_matches('\\').trim_end();
        if line.is_empty() || line.starts_with([' ', '\t', '#', '-']) {
            continue;
        }
        let end =
            line.find(|letter: char| !(letter.is_ascii_alphanumeric() || "._-".contains(letter)));
        let (name, rest) = line.split_at(end.unwrap_or(line.len()));
        let version = rest.trim_start().trim_start_matches("==");
        let known = versions.entry(name.to_owned()).or_default();
        if !known.is_empty() {
            known.push_str(", ");
        }
        known.push_str(version);
    }
    versions
}

impl fmt::Display for LockDiff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, change) in self.changes.iter().enumerate() {
            if number > 0 {
                formatter.write_str("\n")?;
            }
            change.fmt(formatter)?;
        }
        Ok(())
    }
}

impl fmt::Display for LockChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source {
                name,
                before,
                after,
                why,
            } => {
                write!(formatter, "{name}: ")?;
                arrow(
                    formatter,
                    before.as_ref().map(|it| short(&it.commit)),
                    after.as_ref().map(|it| short(&it.commit)),
                )?;
                let reference = |source: &Option<LockedSource>| {
                    let source = source.as_ref();
                    let from = source.and_then(|source| source.resolved_from.clone());
                    from.unwrap_or_else(|| "a commit".to_owned())
                };
                match why {
                    SourceReason::RefMoved => write!(formatter, " ({} moved)", reference(after)),
                    SourceReason::RevisionChanged => {
                        write!(
                            formatter,
                            " (the spec named {}, and now {})",
                            reference(before),
                            reference(after)
                        )
                    }
                    SourceReason::RepoChanged => {
                        formatter.write_str(" (the spec names another repository)")
                    }
                    SourceReason::Added => formatter.write_str(" (added to the spec)"),
                    SourceReason::Removed => formatter.write_str(" (removed from the spec)"),
                }
            }
            Self::Model {
                source,
                before,
                after,
                why,
            } => {
                write!(formatter, "{source}: ")?;
                let digest = |model: &Option<LockedModel>| {
                    model
                        .as_ref()
                        .map(|model| model.sha256.to_string()[..12].to_owned())
                };
                arrow(
                    formatter,
                    digest(before).as_deref(),
                    digest(after).as_deref(),
                )?;
                formatter.write_str(match why {
                    ModelReason::ContentChanged => " (another content)",
                    ModelReason::AddressChanged => " (the same content from another address)",
                    ModelReason::Added => " (pinned)",
                    ModelReason::Removed => " (not pinned any more)",
                })
            }
            Self::Package {
                name,
                before,
                after,
                why,
            } => {
                write!(formatter, "{name}: ")?;
                arrow(formatter, before.as_deref(), after.as_deref())?;
                formatter.write_str(match why {
                    PackageReason::IndexChanged => " (the index changed)",
                    PackageReason::RequirementsChanged => " (the requirements changed)",
                })
            }
        }
    }
}

fn short(commit: &CommitId) -> &str {
    commit.short()
}

fn arrow(
    formatter: &mut fmt::Formatter<'_>,
    before: Option<&str>,
    after: Option<&str>,
) -> fmt::Result {
    let (before, after) = (before.unwrap_or("nothing"), after.unwrap_or("nothing"));
    if before == after {
        return write!(formatter, "{after}");
    }
    write!(formatter, "{before} → {after}")
}
