//! The same files give the same bytes.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, SystemTime};

use manifest_core::ScanOptions;
use package::{Asset, Packer, ToolFolder, describe};

use crate::support::{World, noise, pack, unwatched, write, write_tool};

/// What `golden` has packed to since this crate exists. If this fails, another version of the compressor, or a change of
/// the format, makes other archives of the same releases. Do not take it over before that is wanted and said.
const GOLDEN: [&str; 2] = [
    "635cffa7039afc814d82c7f118d662b8bef31ee4a2fc1907e415bfc496a3bbee",
    "5ea3ca18a62106195cb33083fd148159056754b1bdc25272e72bad5dc40f41cc",
];

fn golden(folder: &Path) {
    write(
        &folder.join("tool.json"),
        r#"{"tool_id": "golden", "version": "1.2.3", "name": "Golden"}"#,
    );
    write(&folder.join("main.py"), "print('hello')\n".repeat(50));
    write(&folder.join("frontend/index.html"), "<!doctype html>\n");
    write(
        &folder.join("frontend/app.js"),
        "let x = [1, 2, 3];\n".repeat(200),
    );
    write(&folder.join("models/base.gguf"), noise(300_000));
    let words: Vec<String> = (0..100_000_u32)
        .map(|number| format!("{:x} ", number.wrapping_mul(2_654_435_761) >> 12))
        .collect();
    write(&folder.join("words.txt"), words.concat());
    write(&folder.join("ünïcode/名.txt"), "");
}

fn packed(world: &World, dist: &str, folder: &str, threads: usize) -> [Asset; 2] {
    let threads = NonZeroUsize::new(threads).unwrap();
    let threaded = Packer::new(world.path(dist)).with_threads(threads);
    let packed = pack(&threaded, &[ToolFolder::new(world.path(folder))]);
    let tool = packed.tools.into_iter().next().unwrap();
    [tool.asset, tool.release.frontend.unwrap()]
}

#[test]
fn the_bytes_are_frozen() {
    let world = World::new();
    golden(&world.path("tool"));
    let digests = packed(&world, "dist", "tool", 2).map(|asset| asset.sha256.to_string());
    assert_eq!(digests, GOLDEN);
}

#[test]
fn neither_dates_nor_modes_nor_order_nor_threads_count() {
    let world = World::new();
    let one = world.path("one");
    golden(&one);
    // Bigger than what is kept in memory, and many small ones.
    let big: Vec<u8> = noise(5 << 20).iter().map(|byte| byte & 0x7F).collect();
    write(&one.join("big.txt"), &big);
    write(&one.join("big.bin"), &big);
    for number in 0..200 {
        write(
            &one.join(format!("many/{number}.txt")),
            format!("{number}\n").repeat(number),
        );
    }
    let other = world.path("other");
    copy_backwards(&one, &other);
    let first = packed(&world, "dist-1", "one", 1);
    for threads in [1, 2, 3, 16] {
        let again = packed(&world, &format!("dist-other-{threads}"), "other", threads);
        assert_eq!(again, first, "{threads} threads");
    }
}

/// Copies what is in a folder, the last first, with other dates and modes.
fn copy_backwards(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = fs::read_dir(from).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries.into_iter().rev() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_backwards(&entry.path(), &target);
            continue;
        }
        fs::copy(entry.path(), &target).unwrap();
        let day = Duration::from_hours(24);
        let file = File::options().write(true).open(&target).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + 9_000 * day)
            .unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.set_permissions(fs::Permissions::from_mode(0o600))
                .unwrap();
        }
    }
}

#[cfg(unix)]
#[test]
fn only_the_executable_bit_of_a_mode_counts() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    write_tool(&world.path("tool"), "sketcher", "1.0.0");
    let sum = |mode, dist| {
        let path = world.path("tool/notes.txt");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let packer = Packer::new(world.path(dist));
        pack(&packer, &[ToolFolder::new(world.path("tool"))]).tools[0]
            .asset
            .sha256
    };
    assert_eq!(sum(0o644, "a"), sum(0o600, "b"));
    assert_eq!(sum(0o755, "c"), sum(0o700, "d"));
    assert_ne!(sum(0o644, "e"), sum(0o755, "f"));
}

#[test]
fn a_date_is_in_the_archive_only_if_it_was_given() {
    let world = World::new();
    let tool = world.tool("tool", "sketcher", "1.0.0");
    let plain = pack(&world.packer(), std::slice::from_ref(&tool));
    let options = ScanOptions::new().with_created_at("2026-02-20T14:39:12Z");
    let dated = tool.with_scan_options(options);
    let dated = pack(&Packer::new(world.path("dated")), &[dated]);
    let (plain, dated) = (&plain.tools[0], &dated.tools[0]);
    assert_ne!(plain.asset.sha256, dated.asset.sha256);
    assert_eq!(
        plain.release.manifest, dated.release.manifest,
        "the date is not hashed"
    );
    assert_eq!(
        dated.release.manifest.created_at(),
        Some("2026-02-20T14:39:12Z")
    );
}

#[test]
fn describing_and_planning_say_what_packing_does() {
    let world = World::new();
    golden(&world.path("tool"));
    let folders = [ToolFolder::new(world.path("tool"))];
    let described = describe(&folders[0], unwatched).unwrap();
    let planned = world.packer().plan(&folders, unwatched).unwrap();
    assert!(!world.dist().exists());
    let packed = pack(&world.packer(), &folders);
    let release = &packed.tools[0].release;
    for other in [&described, &planned.tools[0].release] {
        assert_eq!(other.manifest, release.manifest);
        assert_eq!(other.frontend, release.frontend);
    }
    assert_eq!(planned.tools[0].asset_name, packed.tools[0].asset.name);
    assert_eq!(planned.tools[0].listing, packed.tools[0].listing);
    assert_eq!(planned.tools[0].existing, [""; 0]);
    let planned = world.packer().plan(&folders, unwatched).unwrap();
    assert_eq!(
        planned.tools[0].existing,
        ["tool_golden_1.2.3.zip", "frontend_golden_1.2.3.zip"]
    );
}
