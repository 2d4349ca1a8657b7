//! What must be so before a script runs.

use std::fs;
use std::os::unix::fs::symlink;

use flash_gpu::{
    Backend, CancellationToken, Error, ErrorKind, FlashGpu, Gpu, GpuChoice, GpuProbe, GpuStack,
    Vendor, Warmth,
};

use crate::world::{COUNT, Release, World, exists, program, python, refuses, warm_up};

fn release() -> Release {
    Release::new(COUNT, &[])
}

/// Nothing ran, and nothing was written.
fn assert_untouched(world: &World) {
    assert_eq!(world.runs(), 0);
    assert!(!exists(world.path("cache")));
}

#[tokio::test]
async fn nothing_installed_is_told() {
    let world = World::with(&release());
    fs::remove_file(world.path("current.txt")).unwrap();
    world.refuses(ErrorKind::NoInstallation).await;
    world.write("current.txt", "v9.9.9");
    world.refuses(ErrorKind::NoInstallation).await;
    let nowhere = FlashGpu::new(world.path("nowhere")).with_probe(world.machine.clone());
    refuses(nowhere.clone(), ErrorKind::NoInstallation).await;
    let error = nowhere.check(&CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoInstallation);
    assert_untouched(&world);
}

#[tokio::test]
async fn a_release_may_want_no_warm_up() {
    let base = release();
    for (change, said) in [
        (None, "has no flash_gpu_config"),
        (Some((false, true)), "enabled is false"),
        (Some((true, false)), "names no warmup_script"),
    ] {
        let mut release = base.clone();
        release.config = change.map(|(enabled, has_script)| {
            let mut config = base.config.clone().unwrap();
            config.enabled = enabled;
            config.warmup_script = config.warmup_script.filter(|_| has_script);
            config
        });
        let world = World::with(&release);
        let error = world.refuses(ErrorKind::NotConfigured).await;
        assert!(error.to_string().contains(said), "{error}");
        let check = world
            .flash()
            .check(&CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(check.obstacles[0].kind, ErrorKind::NotConfigured);
        assert_eq!(check.warmth, Warmth::Unknown);
        // The GPUs are told all the same.
        assert!(check.gpu.is_some());
        assert_untouched(&world);
    }
}

#[tokio::test]
async fn the_script_must_be_a_file_of_the_release() {
    let mut release = release();
    release.config.as_mut().unwrap().warmup_script = Some("src/other.py".into());
    let world = World::with(&release);
    world.write("releases/v1.0.0/src/other.py", COUNT);
    let error = world.refuses(ErrorKind::Manifest).await;
    assert!(
        error
            .to_string()
            .contains("src/other.py, which is no file of the release"),
        "{error}"
    );
    assert_untouched(&world);
}

#[tokio::test]
async fn a_script_that_is_not_what_the_manifest_says_does_not_run() {
    let world = World::with(&release());
    let script = world.released("src/warm.py");
    let good = fs::read_to_string(&script).unwrap();
    let elsewhere = world.path("elsewhere");
    fs::write(&elsewhere, &good).unwrap();
    let damages: [(&str, &dyn Fn()); 4] = [
        ("wrong content", &|| {
            fs::write(&script, good.replace('r', "x")).unwrap();
        }),
        ("wrong size", &|| fs::write(&script, "evil").unwrap()),
        ("No such file", &|| ()),
        ("cannot read", &|| symlink(&elsewhere, &script).unwrap()),
    ];
    for (said, damage) in damages {
        fs::remove_file(&script).unwrap();
        damage();
        let error = world.refuses(ErrorKind::Damaged).await;
        let text = error.to_string();
        assert!(
            text.contains(said) && text.ends_with("; repair the installation"),
            "{text}"
        );
        let check = world
            .flash()
            .check(&CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(check.obstacles[0].kind, ErrorKind::Damaged);
        let _ = fs::remove_file(&script);
        fs::write(&script, &good).unwrap();
    }
    assert_eq!(world.runs(), 0);
    world.warm_up().await.unwrap();
}

#[tokio::test]
async fn a_damaged_manifest_is_told() {
    let world = World::with(&release());
    world.write("releases/v1.0.0/manifest.json", "{}");
    world.refuses(ErrorKind::Manifest).await;
    assert_untouched(&world);
}

#[tokio::test]
async fn without_the_gpu_nothing_runs() {
    let world = World::with(&release());
    let missing = world.flash().with_gpu(GpuChoice::Index(4));
    let error = refuses(missing, ErrorKind::NoGpu).await;
    assert_eq!(
        error.to_string(),
        "there is no GPU number 4; there is NVIDIA L4 (number 0, CUDA)"
    );
    let missing = world.flash().with_gpu(GpuChoice::Uuid("GPU-none".into()));
    refuses(missing, ErrorKind::NoGpu).await;
    world.machine.change(|stack| {
        stack.gpus.clear();
        stack.notes.push("nvidia-smi: not installed".into());
    });
    let error = world.refuses(ErrorKind::NoGpu).await;
    assert_eq!(error.to_string(), "no GPU: nvidia-smi: not installed");
    let check = world
        .flash()
        .check(&CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(
        (check.obstacles[0].kind, check.warmth),
        (ErrorKind::NoGpu, Warmth::Unknown)
    );
    assert_untouched(&world);
}

#[derive(Debug)]
struct Broken;

#[async_trait::async_trait]
impl GpuProbe for Broken {
    async fn detect(&self) -> Result<GpuStack, Error> {
        Err(Error::new(ErrorKind::Probe, "the driver hangs"))
    }
}

#[tokio::test]
async fn a_broken_probe_is_told() {
    let world = World::with(&release());
    let flash = world.flash().with_probe(Broken);
    let error = refuses(flash.clone(), ErrorKind::Probe).await;
    assert_eq!(error.to_string(), "the driver hangs");
    let check = flash.check(&CancellationToken::new()).await.unwrap();
    assert_eq!(check.obstacles[0].kind, ErrorKind::Probe);
    assert!(check.stack.is_none() && !check.is_ready());
    assert_untouched(&world);
}

#[tokio::test]
async fn the_cuda_that_is_needed_is_compared() {
    let world = World::with(&release().needs_cuda("12.10"));
    let error = world.refuses(ErrorKind::DriverTooOld).await;
    assert_eq!(
        error.to_string(),
        "CUDA 12.10 is needed, and driver 560.35.03 supports CUDA 12.6 at most; install a newer driver"
    );
    world.machine.change(|stack| stack.cuda_version = None);
    world.refuses(ErrorKind::NoCuda).await;
    world.machine.change(|stack| {
        stack.gpus = vec![Gpu::new(
            0,
            Vendor::Amd,
            Backend::Rocm,
            "AMD Instinct MI300X",
        )];
    });
    let error = world.refuses(ErrorKind::NoCuda).await;
    assert!(
        error.to_string().contains("MI300X computes through ROCm"),
        "{error}"
    );
    let check = world
        .flash()
        .check(&CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(check.obstacles[0].kind, ErrorKind::NoCuda);
    assert_eq!(check.cuda_min.as_deref(), Some("12.10"));
    assert_untouched(&world);
    World::with(&release().needs_cuda("12.6"))
        .warm_up()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_least_version_that_is_none_is_told_by_its_field() {
    for (release, field) in [
        (release().needs_cuda(">=12.1"), "dependencies.cuda_min"),
        (release().needs_python("three"), "dependencies.python_min"),
    ] {
        let world = World::with(&release);
        let error = world.refuses(ErrorKind::Manifest).await;
        assert!(error.to_string().starts_with(field), "{error}");
        assert_untouched(&world);
    }
}

#[tokio::test]
async fn the_python_that_is_needed_is_compared() {
    World::with(&release().needs_python("3.9"))
        .warm_up()
        .await
        .unwrap();
    let world = World::with(&release().needs_python("3.13"));
    let error = world.refuses(ErrorKind::PythonTooOld).await;
    let text = format!(
        "Python 3.13 is needed, and {} is 3.12.1",
        python().display()
    );
    assert_eq!(error.to_string(), text);
    assert_untouched(&world);
}

#[tokio::test]
async fn the_environment_of_the_tool_comes_first() {
    for place in [
        "venv/bin/python",
        "venv/bin/python3",
        ".venv/bin/python",
        "venv/Scripts/python.exe",
    ] {
        let world = World::with(&release());
        let path = world.path(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(python(), &path).unwrap(); // as `python -m venv` does it
        let flash = world.flash().with_interpreter("/nonexistent/python");
        let report = warm_up(&flash).await.unwrap();
        assert_eq!(report.python.program, path);
    }
}

#[tokio::test]
async fn a_missing_python_is_told_with_what_was_looked_for() {
    let world = World::with(&release());
    let none = FlashGpu::new(world.root()).with_probe(world.machine.clone());
    let error = refuses(none, ErrorKind::NoInterpreter).await.to_string();
    for part in [
        "venv/bin/python",
        ".venv/bin/python",
        "venv/Scripts/python.exe",
        "no other Python was given",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let error = refuses(
        world.flash().with_interpreter("/nonexistent/python"),
        ErrorKind::NoInterpreter,
    )
    .await;
    assert!(format!("{error:#}").contains("No such file"), "{error:#}");
    // An environment without a Python is broken, and another Python has other packages.
    fs::create_dir(world.path(".venv")).unwrap();
    let error = world.refuses(ErrorKind::NoInterpreter).await;
    assert!(
        error.to_string().contains("no other Python was taken"),
        "{error}"
    );
    assert_untouched(&world);
}

#[tokio::test]
async fn what_is_no_python_is_told() {
    for (name, text) in [
        ("python-silent", "exit 0"),
        ("python-other", "echo Perl 5"),
        ("python-failing", "echo Python 3.12; exit 1"),
        ("python-odd", "echo Python three"),
    ] {
        let world = World::with(&release());
        let flash = world.flash().with_interpreter(program(name, text));
        let error = refuses(flash, ErrorKind::NoInterpreter).await;
        assert!(
            error
                .to_string()
                .contains("does not say which Python it is"),
            "{error}"
        );
    }
    let old = program(
        "python2",
        "[ \"$1\" = --version ] && echo Python 2.7.18 >&2",
    );
    let world = World::with(&release().needs_python("3.8"));
    let error = refuses(world.flash().with_interpreter(old), ErrorKind::PythonTooOld).await;
    assert!(error.to_string().ends_with("is 2.7.18"), "{error}");
}
