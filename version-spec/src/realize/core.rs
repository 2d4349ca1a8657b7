//! ComfyUI's own files in a home.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use durable_fs::{Dir, FileKind, LinkPolicy, Replace};

use super::tree::{Folders, Trace, copy_tree, split};
use crate::state::{CoreState, OWN_FOLDER};
use crate::{CancellationToken, Checkouts, Error, ErrorKind, LockedSource};

/// Folders of a home that belong to the user: what ComfyUI brings for them is put there once, and never again.
const OF_THE_USER: [&str; 6] = ["input", "output", "user", "models", "custom_nodes", "temp"];

fn is_of_the_user(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or(path);
    path.contains('/') && OF_THE_USER.contains(&first)
}

/// The files of ComfyUI that are missing in the home, or are not what they were; sorted. Reads no content unless a time differs.
pub(crate) fn damage(home: &Dir, core: &CoreState) -> durable_fs::Result<Vec<String>> {
    let mut damaged = Vec::new();
    let mut folders = Folders::below(home);
    if home.metadata(".git/HEAD").ok().flatten().is_none() {
        damaged.push(".git".to_owned());
    }
    for (path, trace) in core.files.iter().filter(|(path, _)| !is_of_the_user(path)) {
        let (parent, name) = split(path);
        let is_same = match folders.open(parent)? {
            Some(folder) => match folder.metadata(name)? {
                Some(metadata) => trace.is_content_of(folder, name, &metadata)?,
                None => false,
            },
            None => false,
        };
        if !is_same {
            damaged.push(path.clone());
        }
    }
    Ok(damaged)
}

/// What bringing ComfyUI into a home did.
#[derive(Debug)]
pub(crate) struct Brought {
    pub(crate) core: CoreState,
    /// Where files that the user had changed are now, relative to the home.
    pub(crate) kept: Vec<String>,
}

/// Refuses a folder that somebody else made a ComfyUI of.
pub(crate) fn must_be_free(home: &Dir) -> Result<(), Error> {
    for name in [".git", "main.py"] {
        if home.metadata(name).ok().flatten().is_some() {
            let message = format!(
                "{} has a `{name}` that this program did not make",
                home.path().display()
            );
            return Err(Error::new(ErrorKind::Exists, message)
                .with_hint("take another folder by --target, or move this one away; models in it can stay where they are as MODELS_DIR"));
        }
    }
    Ok(())
}

/// What a home with this checkout consists of. The files themselves are not read.
pub(crate) fn wanted(
    checkouts: &Checkouts,
    checkout: &Path,
    source: &LockedSource,
) -> Result<CoreState, Error> {
    // Of what is not on the disk yet no time is known, only the content: files that were copied, or unpacked, together have the time of a
    // file of the home at times.
    let trace = |(link, size, sha256)| Trace {
        link,
        size,
        modified: 0,
        sha256,
    };
    let contents = checkouts.contents(checkout)?.into_iter();
    Ok(CoreState {
        repo: source.repo.clone(),
        commit: source.commit.clone(),
        files: contents
            .map(|(path, content)| (path, trace(content)))
            .collect(),
    })
}

/// Makes the files of ComfyUI in the home what is wanted, out of a checkout. `settled` is what was brought there before, `incoming` what
/// was begun to be brought. Durable on return.
///
/// What is interrupted is found again by content, so that running it again goes on.
pub(crate) fn bring(
    home: &Dir,
    checkout: &Dir,
    wanted: &CoreState,
    settled: Option<&CoreState>,
    incoming: &[CoreState],
    cancel: &CancellationToken,
) -> Result<Brought, Error> {
    let failed = |error: durable_fs::Error| {
        Error::disk(
            format!("ComfyUI cannot be brought into {}", home.path().display()),
            error,
        )
    };
    let mut traces: BTreeMap<&str, Vec<&Trace>> = BTreeMap::new();
    let old: Vec<&CoreState> = settled.into_iter().chain(incoming).collect();
    for (path, trace) in old.iter().flat_map(|old| &old.files) {
        traces.entry(path).or_default().push(trace);
    }
    let mut work = Work {
        home,
        checkout,
        settled,
        old: traces,
        aside: format!(
            "{OWN_FOLDER}/kept/{}",
            settled.map_or("unknown", |settled| settled.commit.short())
        ),
        kept: Vec::new(),
        created: BTreeSet::new(),
    };
    let mut files = BTreeMap::new();
    for (path, trace) in &wanted.files {
        if cancel.is_cancelled() {
            return Err(Error::cancelled());
        }
        if let Some(trace) = work.bring(path, trace).map_err(failed)? {
            files.insert(path.clone(), trace);
        }
    }
    work.remove_what_is_gone(&files).map_err(failed)?;
    let git = work.git().map_err(failed)?;
    // Once for everything: what is renamed afterwards is whole.
    home.sync_tree().map_err(failed)?;
    if let Some(git) = git {
        work.publish_git(&git, &old).map_err(failed)?;
    }
    let core = CoreState {
        files,
        ..wanted.clone()
    };
    Ok(Brought {
        core,
        kept: work.kept,
    })
}

/// Removes the files of ComfyUI that are as they were.
pub(crate) fn remove(home: &Dir, core: &CoreState) -> durable_fs::Result<()> {
    for (path, trace) in &core.files {
        // Otherwise it is gone, or below a link of the user's.
        let Ok(Some(metadata)) = home.metadata(path) else {
            continue;
        };
        let (parent, name) = split(path);
        let folder = if parent.is_empty() {
            home.clone()
        } else {
            home.open_dir(parent)?
        };
        if trace.is_content_of(&folder, name, &metadata)? {
            folder.remove_file(name)?;
        }
    }
    for folder in folders_of(core.files.keys().map(String::as_str))
        .into_iter()
        .rev()
    {
        remove_if_empty(home, folder)?;
    }
    Ok(())
}

struct Work<'a> {
    home: &'a Dir,
    checkout: &'a Dir,
    settled: Option<&'a CoreState>,
    /// What was put there before.
    old: BTreeMap<&'a str, Vec<&'a Trace>>,
    /// Where what the user changed goes.
    aside: String,
    kept: Vec<String>,
    /// Folders that are there.
    created: BTreeSet<String>,
}

/// Whose the thing is that has the name of a file of ComfyUI.
enum There {
    Nothing,
    /// It is what it shall be.
    Right,
    /// It is what we put there.
    Ours,
    Theirs,
}

impl Work<'_> {
    /// Brings one file. `None` if it is the user's, who has something else there.
    fn bring(&mut self, path: &str, wanted: &Trace) -> durable_fs::Result<Option<Trace>> {
        let (parent, name) = split(path);
        let Some(folder) = self.folder(parent, is_of_the_user(path))? else {
            return Ok(None);
        };
        match self.there(path, &folder, name, wanted)? {
            There::Right => return Ok(Some(wanted.of_copy(folder.metadata(name)?.as_ref()))),
            There::Theirs if is_of_the_user(path) => return Ok(None),
            // It was put there once, and deleted.
            There::Nothing
                if is_of_the_user(path)
                    && self
                        .settled
                        .is_some_and(|settled| settled.files.contains_key(path)) =>
            {
                return Ok(Some(wanted.clone()));
            }
            There::Theirs => self.set_aside(path)?,
            There::Nothing | There::Ours => {}
        }
        let from = if parent.is_empty() {
            self.checkout.clone()
        } else {
            self.checkout.open_dir(parent)?
        };
        if wanted.link {
            folder.replace_symlink(from.read_link(name)?, name)?;
        } else {
            from.place_over(name, &folder, name, LinkPolicy::Independent)?;
        }
        Ok(Some(wanted.of_copy(folder.metadata(name)?.as_ref())))
    }

    fn there(
        &self,
        path: &str,
        folder: &Dir,
        name: &str,
        wanted: &Trace,
    ) -> durable_fs::Result<There> {
        let Some(metadata) = folder.metadata(name)? else {
            return Ok(There::Nothing);
        };
        let is = |one: &Trace, other: &Trace| one.sha256 == other.sha256 && one.link == other.link;
        let old = self.old.get(path).map_or(&[][..], Vec::as_slice);
        if let Some(old) = old.iter().find(|old| old.is_at_first_sight(&metadata)) {
            return Ok(if is(old, wanted) {
                There::Right
            } else {
                There::Ours
            });
        }
        Ok(match Trace::of(folder, name)? {
            Some(found) if is(&found, wanted) => There::Right,
            Some(found) if old.iter().any(|old| is(old, &found)) => There::Ours,
            _ => There::Theirs,
        })
    }

    fn is_ours(&self, path: &str, folder: &Dir, name: &str) -> durable_fs::Result<bool> {
        let Some(metadata) = folder.metadata(name)? else {
            return Ok(false);
        };
        for old in self.old.get(path).into_iter().flatten() {
            if old.is_content_of(folder, name, &metadata)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The folder for a file of ComfyUI. What is in its way is the user's: set aside, or left alone if it is in a folder of theirs.
    fn folder(&mut self, path: &str, is_of_the_user: bool) -> durable_fs::Result<Option<Dir>> {
        let mut dir = self.home.clone();
        if path.is_empty() {
            return Ok(Some(dir));
        }
        let mut so_far = String::new();
        for name in path.split('/') {
            so_far = if so_far.is_empty() {
                name.to_owned()
            } else {
                format!("{so_far}/{name}")
            };
            if !self.created.contains(&so_far) {
                match dir.metadata(name)?.map(|metadata| metadata.kind) {
                    Some(FileKind::Dir) => {}
                    Some(_) if is_of_the_user || OF_THE_USER.contains(&so_far.as_str()) => {
                        return Ok(None);
                    }
                    found => {
                        if found.is_some() {
                            self.clear(&so_far)?;
                        }
                        match dir.create_dir(name) {
                            // The step that links nodes was faster.
                            Err(error) if !error.is_already_exists() => return Err(error),
                            _ => {}
                        }
                    }
                }
                self.created.insert(so_far.clone());
            }
            dir = dir.open_dir(name)?;
        }
        Ok(Some(dir))
    }

    /// Makes way for a folder: a file of ours is removed, anything else set aside.
    fn clear(&mut self, path: &str) -> durable_fs::Result<()> {
        let (parent, name) = split(path);
        let folder = if parent.is_empty() {
            self.home.clone()
        } else {
            self.home.open_dir(parent)?
        };
        if self.is_ours(path, &folder, name)? {
            return folder.remove_file(name);
        }
        self.set_aside(path)
    }

    fn set_aside(&mut self, path: &str) -> durable_fs::Result<()> {
        let (parent, name) = split(path);
        let place = if parent.is_empty() {
            self.aside.clone()
        } else {
            format!("{}/{parent}", self.aside)
        };
        let to = self.home.create_dir_all(&place)?;
        let mut free = name.to_owned();
        for number in 1.. {
            if to.metadata(&free)?.is_none() {
                break;
            }
            free = format!("{name}.{number}");
        }
        self.home.rename(path, &to, &free, Replace::Refuse)?;
        self.kept.push(format!("{place}/{free}"));
        Ok(())
    }

    fn remove_what_is_gone(&mut self, files: &BTreeMap<String, Trace>) -> durable_fs::Result<()> {
        let gone: Vec<&str> = self
            .old
            .keys()
            .copied()
            .filter(|path| !files.contains_key(*path))
            .collect();
        for path in &gone {
            // `Err`: a link of the user's is on the way.
            let Ok(Some(metadata)) = self.home.metadata(path) else {
                continue;
            };
            if metadata.kind == FileKind::Dir {
                continue;
            }
            let (parent, name) = split(path);
            let folder = if parent.is_empty() {
                self.home.clone()
            } else {
                self.home.open_dir(parent)?
            };
            if self.is_ours(path, &folder, name)? {
                folder.remove_file(name)?;
            } else if !is_of_the_user(path) {
                self.set_aside(path)?;
            }
        }
        let lost = folders_of(gone.into_iter());
        let wanted = folders_of(files.keys().map(String::as_str));
        // What is deeper comes first.
        for folder in lost.iter().rev().filter(|folder| !wanted.contains(*folder)) {
            remove_if_empty(self.home, folder)?;
        }
        Ok(())
    }

    /// Makes git's own folder, so that people and ComfyUI see which commit it is, beside its place. `None` if it is there.
    fn git(&mut self) -> durable_fs::Result<Option<Dir>> {
        let head = head_of(self.home);
        if self.checkout.metadata(".git")?.is_none()
            || (head.is_some() && head == head_of(self.checkout))
        {
            return Ok(None);
        }
        let own = self.home.create_dir_all(OWN_FOLDER)?;
        own.remove_tree("git")?;
        copy_tree(self.checkout, ".git", &own, "git")?;
        let info = own.create_dir_all("git/info")?;
        info.append_line("exclude", OURS.as_bytes())?;
        Ok(Some(own))
    }

    /// Puts git's own folder into its place.
    fn publish_git(&mut self, own: &Dir, old: &[&CoreState]) -> durable_fs::Result<()> {
        if self.home.metadata(".git")?.is_some() {
            // Branches are somebody's work; a checkout of ours has none.
            let head = head_of(self.home);
            let is_ours = old
                .iter()
                .any(|old| head.as_deref() == Some(old.commit.as_str().as_bytes()));
            if is_ours && !has_branches(self.home) {
                own.remove_tree("old-git")?;
                self.home.rename(".git", own, "old-git", Replace::Refuse)?;
            } else {
                self.set_aside(".git")?;
            }
        }
        own.rename("git", self.home, ".git", Replace::Refuse)?;
        own.sync()?;
        self.home.sync()?;
        own.remove_tree("old-git")
    }
}

/// What is ours in a home is none of git's business.
const OURS: &str = "/.lockstep-comfy*\n/.venv/\n/extra_model_paths.yaml";

fn head_of(dir: &Dir) -> Option<Vec<u8>> {
    dir.read(".git/HEAD", 4096)
        .ok()
        .map(|head| head.trim_ascii().to_vec())
}

/// Whether git keeps something in a home that a checkout of ours does not have.
pub(crate) fn has_branches(home: &Dir) -> bool {
    let entries = |path: &str| {
        home.open_dir(path)
            .and_then(|dir| dir.entries())
            .is_ok_and(|entries| !entries.is_empty())
    };
    entries(".git/refs/heads")
        || home
            .metadata(".git/refs/stash")
            .is_ok_and(|found| found.is_some())
}

/// All folders on the way to these files.
fn folders_of<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    paths
        .flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]))
        .collect()
}

/// What Python left in a folder does not keep it.
fn remove_if_empty(home: &Dir, folder: &str) -> durable_fs::Result<()> {
    let Ok(dir) = home.open_dir(folder) else {
        return Ok(());
    };
    let entries = dir.entries()?;
    if entries.iter().any(|entry| entry.name != "__pycache__") {
        return Ok(());
    }
    dir.remove_tree("__pycache__")?;
    match home.remove_dir(folder) {
        Err(error) if error.kind() != durable_fs::ErrorKind::NotEmpty && !error.is_not_found() => {
            Err(error)
        }
        _ => Ok(()),
    }
}
