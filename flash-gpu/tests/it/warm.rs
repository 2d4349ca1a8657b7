//! A warm-up that goes well.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use flash_gpu::{CancellationToken, GpuChoice, LinkPolicy, Outcome, Rerun, Warmth};
use serde_json::{Value, json};

use crate::world::{Release, World, two_files, warm_up, write};

#[tokio::test]
async fn what_the_script_leaves_is_kept() {
    let world = two_files();
    let report = world.warm_up().await.unwrap();
    assert_eq!(report.outcome, Outcome::WarmedUp);
    assert_eq!(report.warnings, [""; 0]);
    assert_eq!((report.artifacts.count, report.artifacts.bytes), (2, 13));
    let ways = report.artifacts.cloned + report.artifacts.linked + report.artifacts.copied;
    assert_eq!(ways, 2);
    assert_eq!(report.output["status"], "ok");
    assert_eq!(report.warmed_at, "2023-11-14T22:13:20Z");
    assert_eq!(report.gpu.name, "NVIDIA L4");
    assert_eq!(report.driver_version.as_deref(), Some("560.35.03"));
    assert_eq!(report.python.version, "3.12.1");
    assert_eq!((report.put_back, &*report.pruned), (0, &[][..]));

    let kept = world.kept();
    let key = &report.key;
    assert_eq!(
        kept.paths(),
        [
            &format!("{key}/files/release/cache/kernels/a.bin"),
            &format!("{key}/files/root/cache/models/b.gguf"),
            &format!("{key}/record.json"),
            "last.log",
            "lock",
        ]
    );
    let record: Value =
        serde_json::from_slice(&kept.file(&format!("{key}/record.json")).unwrap().bytes).unwrap();
    assert_eq!(record["tool_id"], "sketcher");
    assert_eq!(record["gpu"]["architecture"], "8.9");
    assert_eq!(record["artifacts"][0]["place"], "release");
    assert_eq!(record["artifacts"][0]["path"], "cache/kernels/a.bin");
    assert_eq!(record["artifacts"][1]["size"], 6);

    let mut log: Vec<String> = world
        .read("cache/flash-gpu/last.log")
        .lines()
        .map(str::to_owned)
        .collect();
    log.sort();
    assert_eq!(log, ["really", "warm"]);
    assert_eq!(report.log, Some(world.path("cache/flash-gpu/last.log")));
    let heard = world.heard();
    for line in [
        "running the script",
        "warm",
        "really",
        "keeping the artifacts",
    ] {
        assert!(heard.iter().any(|heard| heard == line), "{line}: {heard:?}");
    }
    assert_eq!(
        report.to_string(),
        "sketcher 1.0.0 warmed up on NVIDIA L4: 2 artifacts, 13 bytes"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["outcome"], "warmed_up");
    assert_eq!(json["key"], report.key.as_str());
}

#[tokio::test]
async fn linked_artifacts_are_one_file_and_copied_ones_are_not() {
    let script = "mkdir -p cache; cd cache; echo small > a.bin; truncate -s 64M b.bin";
    for (policy, small, big) in [
        (LinkPolicy::Share, false, true),
        (LinkPolicy::Independent, false, false),
        (LinkPolicy::Copy, false, false),
    ] {
        let world = World::of(script, &["cache/*.bin"]);
        let flash = world.flash().with_link_policy(policy);
        let report = warm_up(&flash).await.unwrap();
        let kept = format!("cache/flash-gpu/{}/files/release", report.key);
        let inode = |path: &str| fs::metadata(world.path(path)).unwrap().ino();
        let is_one = |name: &str| {
            let left = format!("releases/v1.0.0/cache/{name}");
            inode(&format!("{kept}/cache/{name}")) == inode(&left)
        };
        // A clone is another file, too.
        let may_link = report.artifacts.cloned == 0;
        assert_eq!((is_one("a.bin"), is_one("b.bin")), (small, big && may_link));
        let linked = u64::from(big && may_link);
        assert_eq!(report.artifacts.linked, linked);
        if policy == LinkPolicy::Copy {
            assert_eq!(report.artifacts.copied, 2);
        }

        // Putting back does likewise.
        fs::remove_dir_all(world.released("cache")).unwrap();
        assert_eq!(warm_up(&flash).await.unwrap().put_back, 2);
        assert_eq!((is_one("a.bin"), is_one("b.bin")), (small, big && may_link));
        let report = warm_up(&flash).await.unwrap();
        assert_eq!(report.outcome, Outcome::AlreadyWarm);
    }
}

#[tokio::test]
async fn the_script_is_told_what_it_needs() {
    let script =
        "cp \"$2\" \"$LOCKSTEP_ROOT/input\"; { pwd; echo \"$0\"; env; } > \"$LOCKSTEP_ROOT/env\"";
    let release = Release::new(script, &[]);
    let world = World::with(&release);
    let report = world.warm_up().await.unwrap();
    assert_eq!(report.artifacts.count, 0);
    let input: Value = serde_json::from_str(&world.read("input")).unwrap();
    let root = world.root();
    let expected = json!({
        "protocol": "runtime/1",
        "mode": "flash_gpu_warmup",
        "tool_id": "sketcher",
        "tool_version": "1.0.0",
        "manifest_hash": release.manifest().manifest_hash().to_string(),
        "gpu": {
            "index": 0, "vendor": "nvidia", "backend": "cuda", "name": "NVIDIA L4", "uuid": "GPU-0a1b2c3d",
            "memory_total": 23_034_u64 << 20, "memory_used": 100 << 20, "architecture": "8.9",
            "driver_version": "560.35.03", "cuda_version": "12.6",
        },
        "root": root.clone(),
        "cache_dir": root.join("cache"),
    });
    assert_eq!(input, expected);

    let environment = world.read("env");
    let lines: Vec<&str> = environment.lines().collect();
    assert_eq!(
        lines[0],
        world.released("").to_str().unwrap().trim_end_matches('/')
    );
    assert_eq!(lines[1], world.released("src/warm.py").to_str().unwrap());
    let root = root.display();
    for variable in [
        &format!("LOCKSTEP_ROOT={root}"),
        &format!("LOCKSTEP_CACHE_DIR={root}/cache"),
        "LOCKSTEP_VERSION=1.0.0",
        "PYTHONUNBUFFERED=1",
        "PYTHONDONTWRITEBYTECODE=1",
    ] {
        assert!(lines.contains(&variable), "{variable}");
    }
    let has = |name: &str| {
        lines
            .iter()
            .any(|line| line.starts_with(&format!("{name}=")))
    };
    assert!(!has("PYTHONHOME") && !has("PYTHONPATH"));

    // The whole of the machine, unless a GPU was chosen.
    let chosen = world
        .flash()
        .with_gpu(GpuChoice::Index(0))
        .with_rerun(Rerun::Always);
    warm_up(&chosen).await.unwrap();
    let environment = world.read("env");
    assert!(environment.contains("\nCUDA_VISIBLE_DEVICES=GPU-0a1b2c3d\n"));
    world.machine.change(|stack| stack.gpus[0].uuid = None);
    warm_up(&chosen).await.unwrap();
    let environment = world.read("env");
    assert!(environment.contains("\nCUDA_VISIBLE_DEVICES=0\n"));
    assert!(environment.contains("\nCUDA_DEVICE_ORDER=PCI_BUS_ID\n"));
}

#[tokio::test]
async fn a_pattern_that_matches_nothing_is_a_warning() {
    let world = World::of(
        "mkdir -p cache; echo x > cache/a.bin",
        &["cache/*.gguf", "cache/*.bin"],
    );
    let report = world.warm_up().await.unwrap();
    assert_eq!(report.artifacts.count, 1);
    assert_eq!(
        report.warnings,
        ["nothing matches cache/*.gguf of cache_artifacts"]
    );
    assert!(
        world
            .heard()
            .contains(&format!("warning: {}", report.warnings[0]))
    );
}

/// Whoever made it, and when.
#[tokio::test]
async fn what_the_release_lists_and_what_is_the_users_is_not_kept() {
    let paths = [
        "releases/v1.0.0/own.bin",
        "cache/own.bin",
        "releases/v1.0.0/cache/deep/own.bin",
        "releases/v1.0.0/user_data/private.bin",
        "releases/v1.0.0/venv/lib/torch.bin",
        "releases/v1.0.0/logs/a.bin",
        "releases/v1.0.0/__pycache__/a.bin",
        "releases/v1.0.0/private.log",
        "releases/v1.0.0/.lockstep-1.bin",
        "models/users.bin",
        "user_data/users.bin",
        "cache/flash-gpu/lost/ours.bin",
    ];
    let script = paths.map(|path| {
        let path = format!("\"$LOCKSTEP_ROOT/{path}\"");
        format!("mkdir -p $(dirname {path}); echo x > {path}\n")
    });
    let world = World::of(
        &script.concat(),
        &["**/*.bin", "*.bin", "*.log", "**/manifest.json", "*.json"],
    );
    let report = world.warm_up().await.unwrap();
    let files = world.path(&format!("cache/flash-gpu/{}/files", report.key));
    let kept = testkit::Tree::read(&files);
    assert_eq!(
        kept.paths(),
        [
            "release/cache/deep/own.bin",
            "release/own.bin",
            "root/cache/own.bin"
        ]
    );
}

#[tokio::test]
async fn an_update_need_not_wait_and_is_noticed() {
    // What an updater does while the script runs.
    let script = "mkdir -p \"$LOCKSTEP_ROOT/releases/v2.0.0\"
        cp manifest2 \"$LOCKSTEP_ROOT/releases/v2.0.0/manifest.json\"
        printf v2.0.0 > \"$LOCKSTEP_ROOT/current.txt\"";
    let world = World::of(script, &[]);
    let next = Release::new("", &[]).with_version("2.0.0");
    write(&world.released("manifest2"), next.manifest().to_bytes());
    let report = world.warm_up().await.unwrap();
    assert_eq!(report.tool_version.as_str(), "1.0.0");
    assert!(
        report.warnings[0].starts_with("release 2.0.0 has become active meanwhile"),
        "{:?}",
        report.warnings
    );
    let check = world
        .flash()
        .check(&CancellationToken::new())
        .await
        .unwrap();
    assert!(matches!(check.warmth, Warmth::Cold { .. }));
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn memory_is_measured_before_and_after() {
    use flash_gpu::FakeGpu;

    let world = two_files();
    let used = |bytes: u64| {
        let mut stack = FakeGpu::l4();
        stack.gpus[0].memory_used = Some(bytes);
        stack
    };
    let gpu = FakeGpu::new(used(10)).then(used(70));
    let report = warm_up(&world.flash().with_probe(gpu.clone()))
        .await
        .unwrap();
    let memory = report.memory;
    assert_eq!(
        (memory.before, memory.peak, memory.after),
        (Some(10), Some(70), Some(70))
    );
    assert_eq!(gpu.asked(), 2);
    // A GPU that cannot be asked any more is no reason to fail.
    let gpu = FakeGpu::new(used(10)).then_failing("it is gone");
    let flash = world.flash().with_rerun(Rerun::Always).with_probe(gpu);
    let memory = warm_up(&flash).await.unwrap().memory;
    assert_eq!(
        (memory.before, memory.peak, memory.after),
        (Some(10), Some(10), None)
    );
}
