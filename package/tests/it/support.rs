//! Folders of tools, and what is in an archive.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use package::{Error, ErrorKind, PackProgress, Packed, Packer, ToolFolder};
use tempfile::TempDir;

/// A folder to work in: tools in `<name>/`, archives in `dist/`.
pub(crate) struct World(TempDir);

impl World {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    pub(crate) fn dist(&self) -> PathBuf {
        self.path("dist")
    }

    pub(crate) fn packer(&self) -> Packer {
        Packer::new(self.dist())
    }

    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        write(&self.path(relative), content);
    }

    /// A tool with two scripts, a model and its `tool.json`.
    pub(crate) fn tool(&self, folder: &str, id: &str, version: &str) -> ToolFolder {
        write_tool(&self.path(folder), id, version);
        ToolFolder::new(self.path(folder))
    }

    /// Every file below `dist/`.
    pub(crate) fn listing(&self) -> BTreeMap<String, Vec<u8>> {
        let mut listing = BTreeMap::new();
        list(&self.dist(), "", &mut listing);
        listing
    }
}

pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub(crate) fn write_tool(folder: &Path, id: &str, version: &str) {
    let tool = format!(r#"{{"tool_id": "{id}", "version": "{version}"}}"#);
    write(&folder.join("tool.json"), tool);
    write(&folder.join("src/main.py"), format!("print('{version}')\n"));
    write(
        &folder.join("notes.txt"),
        "what there is to say\n".repeat(100),
    );
    write(&folder.join("models/base.gguf"), noise(50_000));
}

/// Bytes that Deflate cannot make smaller, always the same.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn list(folder: &Path, prefix: &str, listing: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), &format!("{name}/"), listing);
            listing.insert(name, Vec::new());
        } else {
            listing.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}

pub(crate) fn unwatched(_: PackProgress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[track_caller]
pub(crate) fn pack(packer: &Packer, folders: &[ToolFolder]) -> Packed {
    packer.pack(folders, unwatched).unwrap()
}

/// Packing fails, and everything is as it was.
#[track_caller]
pub(crate) fn refused(world: &World, folders: &[ToolFolder], kind: ErrorKind) -> Error {
    refused_by(world, &world.packer(), folders, kind)
}

#[track_caller]
pub(crate) fn refused_by(
    world: &World,
    packer: &Packer,
    folders: &[ToolFolder],
    kind: ErrorKind,
) -> Error {
    let (existed, before) = (world.dist().exists(), world.listing());
    let error = packer.pack(folders, unwatched).unwrap_err();
    assert_eq!(error.kind(), kind, "{error:#}");
    assert_eq!(world.listing(), before);
    assert_eq!(world.dist().exists(), existed);
    error
}

/// A file of an archive, as another implementation reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unpacked {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) is_stored: bool,
}

pub(crate) fn unpack(archive: &[u8]) -> Vec<Unpacked> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let date = file.last_modified().unwrap();
        assert_eq!(date, zip::DateTime::default(), "1980-01-01 00:00:00");
        assert!(file.is_file());
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap(); // and checks the CRC
        files.push(Unpacked {
            name: file.name().unwrap().into_owned(),
            mode: file.unix_mode().unwrap(),
            is_stored: file.compression() == zip::CompressionMethod::Stored,
            content,
        });
    }
    files
}
