//! A folder to work in, with two versions of a made-up tool, and the binary.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What a run of the binary left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// The one JSON object on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.stdout.trim_end().lines().count(), 1, "{self:#?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no {text:?} in {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn notes(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in {self:#?}");
        self
    }
}

pub(crate) struct World {
    folder: TempDir,
}

pub(crate) const MODEL: usize = 300_000;

impl World {
    /// `v1` and `v2` are two versions of the tool `sketcher`: `main.py` changes, `old.txt` goes, `new.txt`
    /// comes, `README.md` moves, the model stays.
    pub(crate) fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let model: Vec<u8> = (0..MODEL).map(|index| (index * 7 % 251) as u8).collect();
        for (version, number) in [("v1", "1.0.0"), ("v2", "1.1.0")] {
            let tool = format!(r#"{{"tool_id": "sketcher", "version": "{number}"}}"#);
            world.write(&format!("{version}/tool.json"), tool);
            world.write(&format!("{version}/models/base.gguf"), &model);
            world.write(
                &format!("{version}/src/main.py"),
                format!("print('{number}')\n"),
            );
        }
        world.write("v1/old.txt", "old\n");
        world.write("v2/new.txt", "new\n");
        world.write("v1/README.md", "read me\n");
        world.write("v2/docs/README.md", "read me\n");
        world
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let output = self.command(arguments).output().unwrap();
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Publishes both versions and serves them.
    pub(crate) fn served(&self) -> Served {
        for version in ["v1", "v2"] {
            self.run(&["publish", version, "--store", "store"]).exits(0);
        }
        self.serve()
    }

    pub(crate) fn serve(&self) -> Served {
        let mut child = self
            .command(&["serve", "--store", "store", "--listen", "127.0.0.1:0"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut base = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut base)
            .unwrap();
        Served {
            child,
            base: base.trim_end().to_owned(),
        }
    }

    /// Every path below a folder, with its content and time.
    pub(crate) fn listing(&self, relative: &str) -> BTreeMap<PathBuf, String> {
        let mut listing = BTreeMap::new();
        list(&self.path(relative), &mut listing);
        listing
    }

    /// Makes the manifest of a folder, whose files are where `base` says.
    pub(crate) fn manifest(&self, folder: &str, base: &str) -> String {
        let file = format!("{folder}.json");
        self.run(&[
            "manifest",
            "create",
            folder,
            "--base-url",
            base,
            "--output",
            &file,
        ])
        .exits(0);
        file
    }
}

fn list(folder: &Path, listing: &mut BTreeMap<PathBuf, String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            list(&path, listing);
        }
        let state = format!(
            "{:?} {} {:?}",
            metadata.file_type(),
            metadata.len(),
            metadata.modified()
        );
        listing.insert(path, state);
    }
}

/// `lockstep serve`, until it is dropped.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) base: String,
}

impl Served {
    /// Where the manifest of a version is.
    pub(crate) fn manifest(&self, version: &str) -> String {
        format!("{}sketcher/{version}/manifest.json", self.base)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
