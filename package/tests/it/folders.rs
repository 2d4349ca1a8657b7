//! Folders that cannot be packed.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use manifest_core::ScanOptions;
use package::{ErrorKind, PackProgress, Packer, ToolFolder};

use crate::support::{World, pack, refused, refused_by, unwatched};

#[test]
fn a_folder_that_does_not_say_what_it_is() {
    let world = World::new();
    world.write("tool/main.py", "");
    let folder = ToolFolder::new(world.path("tool"));
    let error = refused(&world, std::slice::from_ref(&folder), ErrorKind::Tool);
    assert!(
        format!("{error:#}").contains("no tool id was given"),
        "{error:#}"
    );
    let options = ScanOptions::new()
        .with_tool_id("sketcher".parse().unwrap())
        .with_tool_version("1.0".parse().unwrap());
    let named = folder.with_scan_options(options.clone());
    let packed = pack(&world.packer(), &[named]);
    assert_eq!(
        packed.catalog.tools()[0].name,
        "sketcher",
        "the id is a name, too"
    );

    let empty = ToolFolder::new(world.path("empty")).with_scan_options(options);
    fs::create_dir(world.path("empty")).unwrap();
    let error = refused(&world, &[empty], ErrorKind::Tool);
    assert!(error.to_string().contains("holds no file"), "{error}");
}

#[test]
fn a_tool_json_that_is_wrong_is_named_with_the_field() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    for (text, place) in [
        (r#"{"tool_id": "x"}"#, "/tool_id: "),
        (r#"{"tool_id": "xy", "version": 1}"#, "/version: "),
        (r#"{"tool_id": "xy", "platforms": [1]}"#, "/platforms/0: "),
        (
            r#"{"tool_id": "xy", "supports_gpu_persistence": "yes"}"#,
            "/supports_gpu_persistence: ",
        ),
        (
            r#"{"tool_id": "xy", "frontend": {"type": "tv"}}"#,
            "/frontend/type: ",
        ),
        (
            r#"{"tool_id": "xy", "version": "1", "api_contract": "Runtime"}"#,
            "/api_contract: ",
        ),
        ("{", "tool.json"),
    ] {
        world.write("tool/tool.json", text);
        let error = refused(&world, std::slice::from_ref(&tool), ErrorKind::Tool);
        assert!(format!("{error:#}").contains(place), "{error:#}");
    }
}

#[test]
fn a_folder_that_is_not_there() {
    let world = World::new();
    let error = refused(
        &world,
        &[ToolFolder::new(world.path("no"))],
        ErrorKind::NotFound,
    );
    assert!(error.to_string().contains("no"), "{error}");
    world.write("file", "");
    let file = ToolFolder::new(world.path("file"));
    refused(&world, &[file], ErrorKind::Io);
}

#[test]
fn two_folders_with_one_archive() {
    let world = World::new();
    for (one, other) in [
        (("sketcher", "1.0"), ("sketcher", "v1.0")),
        (("sketcher", "1.0"), ("Sketcher", "1.0")),
        (("sketcher_1", "0"), ("sketcher", "1_0")),
    ] {
        let folders = [
            world.tool("a", one.0, one.1),
            world.tool("b", other.0, other.1),
        ];
        let error = refused(&world, &folders, ErrorKind::Duplicate).to_string();
        let (a, b) = (world.path("a"), world.path("b"));
        let names = [a.to_str().unwrap(), b.to_str().unwrap()];
        assert!(names.iter().all(|name| error.contains(name)), "{error}");
    }
    let twice = [
        ToolFolder::new(world.path("a")),
        ToolFolder::new(world.path("a")),
    ];
    refused(&world, &twice, ErrorKind::Duplicate);
}

#[test]
fn what_is_packed_must_not_grow_by_it() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    #[cfg(unix)]
    std::os::unix::fs::symlink(world.path("tool"), world.path("link")).unwrap();
    for dist in [
        "tool",
        "tool/dist",
        "tool/a/b/c",
        "link/dist",
        "dist/../tool/x",
    ] {
        if dist.starts_with("dist") {
            fs::create_dir(world.dist()).unwrap();
        }
        let packer = Packer::new(world.path(dist));
        let folders = std::slice::from_ref(&tool);
        let error = refused_by(&world, &packer, folders, ErrorKind::Place);
        assert!(error.to_string().contains("outside"), "{error}");
        let planned = packer.plan(folders, unwatched).unwrap_err();
        assert_eq!(planned.kind(), ErrorKind::Place);
    }
    assert_eq!(fs::read_dir(world.path("tool")).unwrap().count(), 4);
    // Beside it, or above it, nothing is in the way.
    pack(
        &Packer::new(world.path("tool-dist")),
        std::slice::from_ref(&tool),
    );
    pack(&Packer::new(world.path("")), std::slice::from_ref(&tool));
}

#[cfg(unix)]
#[test]
fn links_are_not_packed() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    std::os::unix::fs::symlink("/etc/passwd", world.path("tool/link")).unwrap();
    let error = refused(&world, &[tool], ErrorKind::Policy);
    assert!(format!("{error:#}").contains("link"), "{error:#}");
}

/// Does something to the folder when its files are hashed, and before they are packed.
fn packed_after(world: &World, tool: ToolFolder, change: impl Fn() + Sync) -> package::Error {
    let archive = |progress: PackProgress<'_>| {
        if let PackProgress::Archive { .. } = progress {
            change();
        }
        unwatched(progress)
    };
    let error = world.packer().pack(&[tool], archive).unwrap_err();
    assert!(!world.dist().exists(), "nothing is left");
    error
}

#[test]
fn a_file_that_changes_after_the_scan_is_an_error() {
    for (file, content) in [
        ("src/main.py", Some(&b"print('1.2.1')\n"[..])),
        ("src/main.py", Some(b"longer than before, by far")),
        ("src/main.py", Some(b"")),
        ("src/main.py", None),
        ("models/base.gguf", Some(b"shorter")),
        ("models/base.gguf", None),
    ] {
        let world = World::new();
        let tool = world.tool("tool", "sketcher", "1.2.0");
        let path = world.path("tool").join(file);
        let error = packed_after(&world, tool, || match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        });
        assert_eq!(error.kind(), ErrorKind::Integrity, "{file} {content:?}");
        assert!(error.to_string().contains(file), "{error}");
    }
}

/// Files that are read twice: one byte is another between the scan and the first, or between the two.
#[test]
fn a_large_file_that_changes_is_an_error_whenever_it_does() {
    let half: Vec<u8> = crate::support::noise(12 << 20)
        .iter()
        .map(|byte| byte & 0x3F)
        .collect();
    for name in ["big.gguf", "big.txt"] {
        for after in [0, 1, half.len() as u64 - 1, half.len() as u64] {
            let world = World::new();
            let tool = world.tool("tool", "sketcher", "1.2.0");
            let path = world.path("tool").join(name);
            fs::write(&path, &half).unwrap();
            let ahead = AtomicU64::new(0);
            let change = || {
                let mut file = fs::File::options().write(true).open(&path).unwrap();
                file.seek(SeekFrom::Start(100)).unwrap();
                file.write_all(&[0xFF]).unwrap();
            };
            let observe = |progress: PackProgress<'_>| {
                let before = match progress {
                    PackProgress::Archive { .. } if after == 0 => {
                        change();
                        return unwatched(progress);
                    }
                    PackProgress::ReadAhead(count) => {
                        (ahead.fetch_add(count, Ordering::SeqCst), count)
                    }
                    _ => return unwatched(progress),
                };
                if before.0 < after && after <= before.0 + before.1 {
                    change();
                }
                unwatched(progress)
            };
            let error = world.packer().pack(&[tool], observe).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity, "{name} after {after}");
            assert!(error.to_string().contains(name), "{error}");
            assert!(!world.dist().exists());
        }
    }
}

/// The header is made of the first reading, and the content of the second.
#[test]
fn a_large_file_that_is_another_one_for_a_moment_is_an_error() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    let path = world.path("tool/big.gguf");
    let (right, wrong) = (vec![1; 6 << 20], vec![2; 6 << 20]);
    fs::write(&path, &right).unwrap();
    let ahead = AtomicU64::new(0);
    let observe = |progress: PackProgress<'_>| {
        match progress {
            PackProgress::Archive { .. } => fs::write(&path, &wrong).unwrap(),
            PackProgress::ReadAhead(count)
                if ahead.fetch_add(count, Ordering::SeqCst) + count == 6 << 20 =>
            {
                fs::write(&path, &right).unwrap();
            }
            _ => {}
        }
        unwatched(progress)
    };
    let error = world.packer().pack(&[tool], observe).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error:#}");
    assert!(!world.dist().exists());
}

#[cfg(unix)]
#[test]
fn a_file_that_becomes_a_link_is_not_followed() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.2.0");
    let path = world.path("tool/src/main.py");
    let aside = world.path("aside.py");
    let error = packed_after(&world, tool, || {
        fs::rename(&path, &aside).unwrap();
        std::os::unix::fs::symlink(&aside, &path).unwrap();
    });
    assert_eq!(error.kind(), ErrorKind::Integrity);
}
