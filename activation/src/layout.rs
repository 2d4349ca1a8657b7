//! Where everything lies below the root of a tool.

/// Names the active release. Replacing it is the commit point of an update.
pub(crate) const CURRENT: &str = "current.txt";
/// The optional symbolic link to the active release.
pub(crate) const CURRENT_LINK: &str = "current";
/// The releases, one folder each.
pub(crate) const RELEASES: &str = "releases";
/// Below [`RELEASES`], so that a staged release can be renamed to its place.
pub(crate) const STAGING: &str = ".staging";
/// Below [`STAGING`], at the end of a name: a release whose place another one of its version takes.
pub(crate) const DISPLACED: &str = ".displaced";
/// Below [`STAGING`]: copies of the user's files on their way into a release that is installed already.
pub(crate) const CARRYING: &str = "carrying";
/// Below [`STAGING`]: contents that are being fetched.
pub(crate) const PARTIALS: &str = "partials";
/// Below [`RELEASES`]: what is being deleted. Emptied whenever the installation is locked.
pub(crate) const TRASH: &str = ".trash";

/// Lockstep's own notes about the installation.
pub(crate) const NOTES: &str = ".lockstep";
/// Below [`NOTES`].
pub(crate) const LOCK: &str = "lock";
/// Below [`NOTES`]: one JSON line for each thing done.
pub(crate) const HISTORY: &str = "history.jsonl";
/// Below [`NOTES`]: what delete policy `manual` waits to delete.
pub(crate) const PENDING_DELETIONS: &str = "pending-deletions.json";
/// Below [`NOTES`]: for each release, which of the user's files its successor took over.
pub(crate) const CARRIED: &str = "carried";
/// Below [`NOTES`]: user's files that no release could take over, by release.
pub(crate) const KEPT: &str = "kept";
/// Below [`NOTES`]: that the active release has yet to show that it works.
pub(crate) const TRIAL: &str = "trial.json";
/// Below [`NOTES`]: which releases were active and did not work.
pub(crate) const FAILED: &str = "failed-releases.json";
/// Below [`NOTES`]: the mirrors that the active release came from, for repairs.
pub(crate) const MIRRORS: &str = "mirrors.json";
