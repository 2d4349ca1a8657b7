//! `lockstep flash-gpu`, with a program that answers as `nvidia-smi` does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::world::{Run, World};

struct Machine {
    world: World,
}

const SCRIPT: &str = "#!/bin/sh
mkdir -p \"$LOCKSTEP_CACHE_DIR/kernels\"
if [ -e \"$LOCKSTEP_ROOT/fail\" ]; then echo out of memory; exit 3; fi
echo warming up
echo compiled > \"$LOCKSTEP_CACHE_DIR/kernels/sketch.bin\"
while [ \"$1\" != --output ]; do shift; done
echo '{\"kernels\": 1}' > \"$2\"
";

impl Machine {
    /// An installation whose Python is the shell.
    fn new() -> Self {
        let machine = Self {
            world: World::new(),
        };
        let config = r#"{"enabled": true, "warmup_script": "warm_up.sh", "cache_artifacts": ["cache/**/*.bin"]}"#;
        let tool = format!(
            r#"{{"tool_id": "sketcher", "version": "1.0.0", "dependencies": {{"cuda_min": "12.1"}}, "flash_gpu_config": {config}}}"#
        );
        machine.world.write("v1/tool.json", tool);
        machine.world.write("v1/warm_up.sh", SCRIPT);
        machine.program(
            "tool/venv/bin/python",
            "if [ \"$1\" = --version ]; then echo Python 3.11.2; else exec sh \"$@\"; fi",
        );
        let served = machine.world.served();
        let manifest = served.manifest("1.0.0");
        machine
            .world
            .run(&["update", "--root", "tool", "--manifest", &manifest])
            .exits(0);
        machine
    }

    fn program(&self, path: &str, text: &str) {
        self.world.write(path, format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.world.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn with_gpu(self, cuda: &str) -> Self {
        self.program(
            "bin/nvidia-smi",
            &format!(
                "case \"$1\" in
                --query-gpu=*) echo '0, NVIDIA L4, GPU-1, 23034, 512, 550.54.15, 8.9, [N/A]' ;;
                *) echo '| NVIDIA-SMI 550.54.15  Driver Version: 550.54.15  CUDA Version: {cuda} |' ;;
                esac"
            ),
        );
        self
    }

    fn flash(&self, options: &[&str]) -> Run {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.world.path("bin").display());
        let arguments = [&["flash-gpu", "--root", "tool"], options].concat();
        let output = self
            .world
            .command(&arguments)
            .env("PATH", path)
            .output()
            .unwrap();
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn a_release_is_warmed_up_once_and_what_it_left_is_put_back() {
    let machine = Machine::new().with_gpu("12.4");
    machine
        .flash(&["--dry-run"])
        .exits(0)
        .says("NVIDIA L4 (CUDA, 512.00 MiB of 22.49 GiB in use)")
        .says("warm    no: nothing was ever warmed up here");
    machine
        .flash(&[])
        .exits(0)
        .says("gpu         NVIDIA L4 (by nvidia-smi)")
        .says("artifacts   1 file (9 B)")
        .notes("warming up\n");
    machine.flash(&[]).exits(0).says("nothing was run");
    fs::remove_dir_all(machine.world.path("tool/cache/kernels")).unwrap();
    let report = machine.flash(&["--json"]).exits(0).json();
    assert_eq!(report["outcome"], "already_warm");
    assert_eq!(report["put_back"], 1);
    assert_eq!(report["output"]["kernels"], 1);
    assert_eq!(
        machine.world.read("tool/cache/kernels/sketch.bin"),
        "compiled\n"
    );
    machine
        .flash(&["--again", "--quiet"])
        .exits(0)
        .says("warm        now");
}

#[test]
fn what_is_in_the_way_is_named() {
    let machine = Machine::new();
    machine
        .flash(&[])
        .exits(1)
        .notes("no GPU: ")
        .notes("nvidia-smi: not installed");
    let machine = machine.with_gpu("11.8");
    machine
        .flash(&[])
        .exits(1)
        .notes("CUDA 12.1 is needed")
        .notes("hint: update the GPU's driver");
    let machine = machine.with_gpu("12.4");
    machine.world.write("tool/fail", "");
    let failed = machine.flash(&["--quiet"]).exits(1);
    let failed = failed
        .notes("ended with exit status: 3")
        .notes("said:\n  out of memory");
    assert!(failed.stdout.is_empty());
    let json = machine.flash(&["--json"]).exits(1).json();
    assert_eq!(json["error"]["kind"], "script_failed");
    assert_eq!(json["report"]["log_tail"], "out of memory\n");
    machine.flash(&["--gpu", "7"]).exits(1).notes("7");
    machine
        .world
        .run(&["flash-gpu", "--root", "nothing"])
        .exits(1);
    machine
        .world
        .run(&["flash-gpu", "--root", "tool", "--deadline", "x"])
        .exits(2);
}

/// Over a fleet of tools, it is run for each.
#[test]
fn a_release_that_wants_no_warm_up_is_no_failure() {
    let world = World::new();
    let served = world.served();
    let manifest = served.manifest("1.0.0");
    world
        .run(&["update", "--root", "tool", "--manifest", &manifest])
        .exits(0);
    world
        .run(&["flash-gpu", "--root", "tool"])
        .exits(0)
        .says("nothing to do: ");
    let json = world
        .run(&["flash-gpu", "--root", "tool", "--json"])
        .exits(0)
        .json();
    assert_eq!(json["outcome"], "not_configured");
    world
        .run(&["flash-gpu", "--root", "tool", "--dry-run"])
        .exits(0);
}

/// Whether a worker may take network jobs is decided by other things.
#[test]
fn eligibility_is_the_same_before_and_after() {
    let machine = Machine::new().with_gpu("12.4");
    let status = machine
        .world
        .run(&["status", "--root", "tool", "--json"])
        .exits(0)
        .json();
    let hash = status["active"]["manifest_hash"]
        .as_str()
        .unwrap()
        .to_owned();
    let ask = |version: &str| {
        let arguments = [
            "eligibility",
            "--root",
            "tool",
            "--version",
            version,
            "--manifest-hash",
            &hash,
        ];
        machine.world.run(&arguments).stdout
    };
    let answers = || (ask("1.0.0"), ask("1.1.0"));
    let before = answers();
    assert_eq!(before, ("ELIGIBLE\n".into(), "OUTDATED\n".into()));
    machine.flash(&[]).exits(0);
    assert_eq!(answers(), before);
    machine.world.write("tool/fail", "");
    machine.flash(&["--again"]).exits(1);
    assert_eq!(answers(), before);
}
