//! A real Python, if there is one.

use flash_gpu::Outcome;

use crate::world::{Release, World, warm_up};

#[tokio::test]
async fn a_script_in_python_is_warmed_up() {
    let found = std::process::Command::new("python3")
        .arg("--version")
        .output();
    if !found.is_ok_and(|ran| ran.status.success()) {
        eprintln!("left out: there is no python3");
        return;
    }
    let mut release = Release::new("", &["cache/**/*.bin"]).needs_python("3.5");
    release.tree = release
        .tree
        .with("src/helper.py", "NAME = 'kernel.bin'\n")
        .with(
            "src/warm.py",
            r#"
import argparse, json, os
import helper

parser = argparse.ArgumentParser()
parser.add_argument("--input")
parser.add_argument("--output")
arguments = parser.parse_args()
with open(arguments.input, encoding="utf-8") as file:
    asked = json.load(file)
assert asked["mode"] == "flash_gpu_warmup"
os.makedirs("cache", exist_ok=True)
with open(os.path.join("cache", helper.NAME), "wb") as file:
    file.write(bytes(range(256)))
print("compiled for", asked["gpu"]["architecture"])
with open(arguments.output, "w", encoding="utf-8") as file:
    json.dump({"kernels": 1}, file)
"#,
        );
    let world = World::with(&release);
    let report = warm_up(&world.flash().with_interpreter("python3"))
        .await
        .unwrap();
    assert_eq!(report.outcome, Outcome::WarmedUp);
    assert_eq!(report.output["kernels"], 1);
    assert_eq!(report.artifacts.bytes, 256);
    assert!(world.heard().contains(&"compiled for 8.9".to_owned()));
    // No byte code beside the release's files.
    assert!(!crate::world::exists(world.released("src/__pycache__")));
}
