use std::borrow::Cow;
use std::collections::HashMap;

use crate::path::collision_key;
use crate::{Error, ErrorKind};

/// Finds the entries that cannot lie beside each other on every platform: a path twice, names that
/// are one on a file system that ignores case or normalisation, and a file where another entry
/// needs a folder. Each comes with the position of an entry that takes part.
///
/// `paths` is sorted. Costs one hash of each path and of each folder.
pub(crate) fn find(paths: &[&str]) -> Vec<(usize, Error)> {
    let mut found = Vec::new();
    let mut refuse = |index: usize, kind: ErrorKind, text: String| {
        found.push((index, Error::new(kind, text)));
    };

    let mut files: HashMap<Cow<'_, str>, &str> = HashMap::with_capacity(paths.len());
    for (index, &path) in paths.iter().enumerate() {
        match files.insert(collision_key(path), path) {
            Some(other) if other == path => {
                let text = format!("path {path:?} is listed twice");
                refuse(index, ErrorKind::Manifest, text);
            }
            Some(other) => {
                let text = format!(
                    "{other:?} and {path:?} are one file where case or Unicode form is ignored"
                );
                refuse(index, ErrorKind::Duplicate, text);
            }
            None => {}
        }
    }

    // Each folder, with the first entry below it.
    let mut folders: HashMap<&str, usize> = HashMap::new();
    for (index, &path) in paths.iter().enumerate() {
        let mut path = path;
        while let Some((folder, _)) = path.rsplit_once('/') {
            if folders.contains_key(folder) {
                break; // and so are the folders above it
            }
            folders.insert(folder, index);
            path = folder;
        }
    }
    let mut folders: Vec<_> = folders.into_iter().collect();
    folders.sort_unstable();
    let mut spelling: HashMap<Cow<'_, str>, &str> = HashMap::with_capacity(folders.len());
    for (folder, index) in folders {
        let key = collision_key(folder);
        if let Some(file) = files.get(&key) {
            let text = format!("{file:?} is a file, and {folder:?} is the folder of another entry");
            refuse(index, ErrorKind::Conflict, text);
        }
        if let Some(other) = spelling.insert(key, folder) {
            let text = format!(
                "the folders {other:?} and {folder:?} are one where case or Unicode form is ignored"
            );
            refuse(index, ErrorKind::Duplicate, text);
        }
    }
    found
}
