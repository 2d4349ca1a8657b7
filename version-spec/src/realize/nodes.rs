//! Custom nodes in a home: links into the cache, or copies where links don't work.

use std::path::{Path, PathBuf};

use durable_fs::{Dir, FileKind, Replace};

use super::tree::copy_tree;
use crate::state::{NodePlaced, NodeState, OWN_FOLDER};
use crate::{Cache, Error, ErrorKind, NodeName};

/// In a copy: the checkout that it was made from.
const MARKER: &str = ".lockstep-copied-from";
const FOLDER: &str = "custom_nodes";

/// What has the name of a node in a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeThere {
    Nothing,
    /// A link or copy of exactly this checkout.
    Right(NodePlaced),
    /// A link or copy that we made of another checkout.
    Ours(NodePlaced),
    /// Anything else: it is the user's.
    Theirs,
}

/// The path of a node, below the home.
pub(crate) fn path_of(name: &NodeName) -> String {
    format!("{FOLDER}/{name}")
}

/// Looks at what has the name of a node. A link to a checkout of a cache is ours also if the record of it was lost, and whichever cache it
/// is: people move them, and mount them elsewhere.
pub(crate) fn look(
    home: &Dir,
    cache: &Cache,
    name: &NodeName,
    target: &Path,
    recorded: Option<&NodeState>,
) -> Result<NodeThere, Error> {
    let path = path_of(name);
    let failed = |error| {
        Error::disk(
            format!("{} cannot be looked at", home.path().join(&path).display()),
            error,
        )
    };
    let Some(metadata) = home.metadata(&path).map_err(failed)? else {
        return Ok(NodeThere::Nothing);
    };
    let (found, how): (PathBuf, _) = match metadata.kind {
        FileKind::Symlink => (home.read_link(&path).map_err(failed)?, NodePlaced::Link),
        FileKind::Dir => match home.read(format!("{path}/{MARKER}"), 64 << 10) {
            Ok(marker) => (
                String::from_utf8_lossy(&marker).trim_end().into(),
                NodePlaced::Copy,
            ),
            Err(error) if error.is_not_found() => return Ok(NodeThere::Theirs),
            Err(error) => return Err(failed(error)),
        },
        _ => return Ok(NodeThere::Theirs),
    };
    Ok(if found == target {
        NodeThere::Right(how)
    } else if how == NodePlaced::Copy
        || recorded.is_some_and(|recorded| Path::new(&recorded.target) == found)
        || found.starts_with(cache.path().join(FOLDER))
        || Cache::is_node(&found)
    {
        NodeThere::Ours(how)
    } else {
        NodeThere::Theirs
    })
}

/// Makes `custom_nodes/<name>` lead to a checkout. Durable on return. Returns how, and where an older copy is now.
///
/// # Errors
/// `Exists` if something of the user's has the name.
pub(crate) fn place(
    home: &Dir,
    cache: &Cache,
    name: &NodeName,
    target: &Path,
    recorded: Option<&NodeState>,
) -> Result<(NodeState, Option<String>), Error> {
    let path = path_of(name);
    let failed = |error| {
        Error::disk(
            format!("{} cannot be made", home.path().join(&path).display()),
            error,
        )
    };
    let state = |how| NodeState {
        how,
        target: target.to_string_lossy().into_owned(),
    };
    let mut kept = None;
    match look(home, cache, name, target, recorded)? {
        NodeThere::Right(how) => return Ok((state(how), None)),
        NodeThere::Theirs => return Err(in_the_way(home, name)),
        NodeThere::Ours(NodePlaced::Copy) => kept = Some(set_aside(home, name).map_err(failed)?),
        NodeThere::Nothing | NodeThere::Ours(NodePlaced::Link) => {}
    }
    let folder = match home.open_dir(FOLDER) {
        Err(error) if error.is_not_found() => home.create_dir_all(FOLDER).map_err(failed)?,
        opened => opened.map_err(failed)?,
    };
    match folder.replace_symlink(target, name.as_str()) {
        Ok(()) => Ok((state(NodePlaced::Link), kept)),
        Err(error) if has_no_links(&error) => {
            tracing::debug!(%error, "copying the node instead");
            // A link of before, from when there were links.
            if folder.metadata(name.as_str()).map_err(failed)?.is_some() {
                folder.remove_file(name.as_str()).map_err(failed)?;
            }
            copy(home, &folder, name, target).map_err(failed)?;
            Ok((state(NodePlaced::Copy), kept))
        }
        Err(error) => Err(failed(error)),
    }
}

fn has_no_links(error: &durable_fs::Error) -> bool {
    use durable_fs::{ErrorKind, Operation};
    error.operation() == Operation::Symlink
        && matches!(
            error.kind(),
            ErrorKind::Unsupported | ErrorKind::PermissionDenied
        )
}

fn copy(home: &Dir, folder: &Dir, name: &NodeName, target: &Path) -> durable_fs::Result<()> {
    let own = home.create_dir_all(OWN_FOLDER)?;
    let temporary = format!("node-{name}");
    own.remove_tree(&temporary)?;
    let (parent, last) = (
        target.parent().unwrap_or(target),
        target.file_name().unwrap_or_default(),
    );
    copy_tree(&home.disk().open_dir(parent)?, last, &own, &temporary)?;
    let made = own.open_dir(&temporary)?;
    made.create_file(MARKER)?
        .write_bytes(target.as_os_str().as_encoded_bytes())?;
    made.sync_tree()?;
    own.rename(&temporary, folder, name.as_str(), Replace::Refuse)?;
    folder.sync()
}

/// Removes a node that we placed. Returns where a copy is now: it may hold what the node wrote.
pub(crate) fn remove(
    home: &Dir,
    name: &NodeName,
    placed: &NodeState,
) -> Result<Option<String>, Error> {
    let path = path_of(name);
    let failed = |error| {
        Error::disk(
            format!("{} cannot be removed", home.path().join(&path).display()),
            error,
        )
    };
    let Ok(Some(metadata)) = home.metadata(&path) else {
        return Ok(None);
    };
    match (metadata.kind, placed.how) {
        (FileKind::Symlink, NodePlaced::Link)
            if home.read_link(&path).map_err(failed)? == Path::new(&placed.target) =>
        {
            let folder = home.open_dir(FOLDER).map_err(failed)?;
            folder
                .remove_file(name.as_str())
                .and_then(|()| folder.sync())
                .map_err(failed)?;
            Ok(None)
        }
        (FileKind::Dir, NodePlaced::Copy)
            if home
                .metadata(format!("{path}/{MARKER}"))
                .map_err(failed)?
                .is_some() =>
        {
            set_aside(home, name).map(Some).map_err(failed)
        }
        // Somebody put something else there.
        _ => Ok(None),
    }
}

fn set_aside(home: &Dir, name: &NodeName) -> durable_fs::Result<String> {
    let place = format!("{OWN_FOLDER}/kept/{FOLDER}");
    let to = home.create_dir_all(&place)?;
    let mut free = name.to_string();
    for number in 1.. {
        if to.metadata(&free)?.is_none() {
            break;
        }
        free = format!("{name}.{number}");
    }
    home.rename(path_of(name), &to, &free, Replace::Refuse)?;
    Ok(format!("{place}/{free}"))
}

pub(crate) fn in_the_way(home: &Dir, name: &NodeName) -> Error {
    let message = format!(
        "{} is there, and not of this program's making",
        home.path().join(path_of(name)).display()
    );
    Error::new(ErrorKind::Exists, message)
        .with_hint("move it away, or give the node of the spec another `name`")
}
