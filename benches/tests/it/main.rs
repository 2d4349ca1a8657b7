//! The program behind `scripts/profile-hashing`, run once with little to do.

use std::fs;
use std::process::{Command, Output};

fn profile_hashing(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_profile_hashing"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_profile_is_printed_and_written_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (out, work) = (folder.path().join("a/profile"), folder.path().join("work"));
    fs::create_dir(&work).unwrap();
    let output = profile_hashing(&[
        "--size",
        "16MiB",
        "--rounds=1",
        "--threads=1",
        "--out",
        out.to_str().unwrap(),
        "--work",
        work.to_str().unwrap(),
    ]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{table}");
    for name in ["hashing.svg", "hashing.csv", "hashing.json"] {
        let path = out.canonicalize().unwrap().join(name);
        assert!(fs::metadata(&path).unwrap().len() > 500, "{name}");
        assert!(
            table.contains(&format!("wrote {}", path.display())),
            "{table}"
        );
    }
    for row in ["\nsha256 ", "\nblake3 ", "\nread alone "] {
        assert!(table.contains(row), "{row:?} is not in\n{table}");
    }
    assert_eq!(fs::read_dir(work).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (argument, says) in [
        ("--size=256", "such as 256MiB"),
        ("--threads=0", "--threads"),
        (
            "--threads=3",
            "error: too little for 3 threads: give --size 48MiB or fewer",
        ),
    ] {
        let size = if argument.starts_with("--size") {
            "--rounds=1"
        } else {
            "--size=16MiB"
        };
        let output = profile_hashing(&[argument, size, "--out", out.to_str().unwrap()]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && text.contains(says),
            "{argument}: {text}"
        );
        assert!(!out.exists());
    }
}
