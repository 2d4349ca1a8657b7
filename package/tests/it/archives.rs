//! What is in an archive.

use std::fs;

use manifest_core::{Limits, Manifest, Sha256Digest};
use package::{AssetState, ErrorKind, Existing, Packer};

use crate::support::{World, noise, pack, refused, refused_by, unpack, unwatched};

#[test]
fn the_archive_holds_the_release_and_its_manifest_last() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "v1.2.0");
    world.write("tool/user_data/mine", "not published");
    world.write("tool/run.log", "not published");
    world.write("tool/manifest.json", "an old one");
    world.write("tool/ä/ö.txt", "a name in UTF-8");
    world.write("tool/empty", "");
    let packed = pack(&world.packer(), &[tool]);

    let asset = &packed.tools[0].asset;
    assert_eq!(asset.name, "tool_sketcher_1.2.0.zip");
    let bytes = fs::read(world.dist().join(&asset.name)).unwrap();
    assert_eq!(bytes.len() as u64, asset.size);
    assert_eq!(Sha256Digest::of(&bytes), asset.sha256);

    let mut files = unpack(&bytes);
    let manifest = files.pop().unwrap();
    assert_eq!(manifest.name, "manifest.json");
    let manifest = Manifest::parse(&manifest.content, &Limits::default()).unwrap();
    assert_eq!(manifest, packed.tools[0].release.manifest);
    assert_eq!(manifest.created_at(), None);
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    let listed: Vec<_> = manifest
        .files()
        .iter()
        .map(|file| file.path().as_str())
        .collect();
    assert_eq!(names, listed);
    for (file, entry) in files.iter().zip(manifest.files()) {
        assert_eq!(Sha256Digest::of(&file.content), entry.sha256());
        let mode = if entry.executable() {
            0o100_755
        } else {
            0o100_644
        };
        assert_eq!(file.mode, mode, "{}", file.name);
    }
    assert!(manifest.file("src/main.py").unwrap().executable());
    assert!(!manifest.file("notes.txt").unwrap().executable());
}

#[test]
fn only_what_gets_smaller_is_compressed() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    world.write("tool/zeros.safetensors", vec![0; 10_000]);
    world.write("tool/big.ckpt", noise(5 << 20));
    world.write("tool/big.txt", noise(5 << 20));
    world.write(
        "tool/held.txt",
        "the same again and again\n".repeat(1 << 18),
    );
    world.write("tool/noise.txt", noise(1_000));
    // Longer than what is kept in memory, compressed too: noise in which every byte is there twice.
    let twice: Vec<u8> = noise(5 << 20)
        .into_iter()
        .flat_map(|byte| [byte; 2])
        .collect();
    world.write("tool/twice.txt", &twice);
    let packed = pack(&world.packer(), &[tool]);
    let bytes = fs::read(world.dist().join(&packed.tools[0].asset.name)).unwrap();
    for (name, is_stored) in [
        ("zeros.safetensors", true), // suffixes count, so that a range of a model is a range of the archive
        ("big.ckpt", true),
        ("models/base.gguf", true),
        ("big.txt", true),
        ("noise.txt", true),
        ("held.txt", false),
        ("twice.txt", false),
        ("notes.txt", false),
        ("manifest.json", false),
    ] {
        let files = unpack(&bytes);
        let file = files.iter().find(|file| file.name == name).unwrap();
        assert_eq!(file.is_stored, is_stored, "{name}");
        if name != "manifest.json" {
            let written = fs::read(world.path("tool").join(name)).unwrap();
            assert!(file.content == written, "{name}");
        }
    }
    let (twice, sum) = (
        twice.len() as u64,
        packed.tools[0].release.manifest.total_size(),
    );
    assert!(packed.tools[0].asset.size < sum - twice / 8);
}

#[test]
fn no_content_is_followed_by_a_descriptor() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    let packed = pack(&world.packer(), &[tool]);
    let bytes = fs::read(world.dist().join(&packed.tools[0].asset.name)).unwrap();
    // Read from the front, as from a pipe.
    let mut reader = bytes.as_slice();
    let mut names = Vec::new();
    while let Some(mut file) = zip::read::read_zipfile_from_stream(&mut reader).unwrap() {
        std::io::copy(&mut file, &mut std::io::sink()).unwrap();
        names.push(file.name().unwrap().into_owned());
    }
    assert_eq!(names.last().map(String::as_str), Some("manifest.json"));
    assert_eq!(
        names.len(),
        packed.tools[0].release.manifest.files().len() + 1
    );
}

#[test]
fn packing_again_leaves_everything_as_it_is() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    pack(&world.packer(), std::slice::from_ref(&tool));
    let (before, modified) = (world.listing(), |name| {
        fs::metadata(world.dist().join(name))
            .unwrap()
            .modified()
            .unwrap()
    });
    let times = ["catalog.json", "tool_sketcher_1.2.0.zip"].map(modified);
    let packed = pack(&world.packer(), &[tool]);
    assert_eq!(packed.tools[0].state, AssetState::Unchanged);
    assert_eq!(world.listing(), before);
    assert_eq!(
        ["catalog.json", "tool_sketcher_1.2.0.zip"].map(modified),
        times
    );
    assert_eq!(before.len(), 2, "nothing else is left: {:?}", before.keys());
}

#[test]
fn an_archive_never_changes_unless_it_is_asked_for() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    let other = world.tool("other", "another", "1.0");
    pack(&world.packer(), std::slice::from_ref(&tool));
    world.write("tool/src/main.py", "print('fixed in silence')\n");
    let both = [other, tool];
    let error = refused(&world, &both, ErrorKind::Conflict);
    assert!(
        error.to_string().contains("tool_sketcher_1.2.0.zip exists"),
        "{error}"
    );

    let replacing = world.packer().with_existing(Existing::Replace);
    let packed = pack(&replacing, &both);
    assert_eq!(packed.tools[0].state, AssetState::New);
    assert_eq!(packed.tools[1].state, AssetState::Replaced);
    let bytes = fs::read(world.dist().join("tool_sketcher_1.2.0.zip")).unwrap();
    assert_eq!(Sha256Digest::of(&bytes), packed.tools[1].asset.sha256);
    assert_eq!(world.listing().len(), 3);

    // What is no archive at all is not ours to replace.
    fs::remove_file(world.dist().join("tool_another_1.0.zip")).unwrap();
    world.write("dist/tool_another_1.0.zip/in-the-way", "");
    let error = refused_by(&world, &replacing, &both, ErrorKind::Io);
    assert!(error.to_string().contains("move it away"), "{error}");
}

#[test]
fn a_killed_run_leaves_nothing_that_the_next_one_keeps() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    world.write("dist/.lockstep-pack/tool_sketcher_1.2.0.zip", "half");
    world.write("dist/.lockstep-pack/lock", "");
    pack(&world.packer(), &[tool]);
    let names: Vec<_> = world.listing().into_keys().collect();
    assert_eq!(names, ["catalog.json", "tool_sketcher_1.2.0.zip"]);
}

#[test]
fn two_at_a_time_are_refused() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    let inner = Packer::new(world.dist());
    let folders = [tool];
    let seen = std::sync::Mutex::new(None);
    world
        .packer()
        .pack(&folders, |progress| {
            if let package::PackProgress::Archive { .. } = progress {
                let error = inner.pack(&folders, unwatched).unwrap_err();
                *seen.lock().unwrap() = Some(error.kind());
            }
            unwatched(progress)
        })
        .unwrap();
    assert_eq!(seen.into_inner().unwrap(), Some(ErrorKind::Busy));
}
