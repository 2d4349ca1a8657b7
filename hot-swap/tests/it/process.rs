//! Real processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hot_swap::{ErrorKind, HotSwap, LocalProcess, Outcome, Runtime as _, ServiceState, Signal};
use tempfile::TempDir;

use crate::server::{Answers, ask, write_server};
use crate::world::{assert_kind, run};

const PATIENCE: Duration = Duration::from_secs(20);

struct Service {
    folder: TempDir,
}

impl Service {
    fn new() -> Self {
        let service = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        write_server(&service.target(), "1.0");
        service
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn target(&self) -> PathBuf {
        self.path("server")
    }

    fn pid(&self) -> u32 {
        fs::read_to_string(self.path("pid"))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    fn process(&self) -> LocalProcess {
        let arguments = [Path::new("serve").to_owned(), self.path("address")];
        LocalProcess::command(self.target(), arguments, self.path("pid"))
            .with_log(self.path("log"))
            .with_grace(Duration::from_secs(2))
    }

    /// To a version, in good time.
    fn swap(&self, version: &str) -> HotSwap {
        write_server(&self.path("next"), version);
        HotSwap::new(self.target(), self.path("next"))
            .with_runtime(self.process())
            .with_settle_time(Duration::from_millis(100))
            .with_deadline(Duration::from_secs(20))
            .with_version(version, ["--version"])
            .with_probe(Answers(self.path("address"), version.to_owned()))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.path("pid").exists() {
            kill_group(self.pid());
            kill(self.pid(), "KILL");
        }
    }
}

fn kill(pid: u32, signal: &str) {
    let _ = Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

#[tokio::test]
async fn a_running_binary_is_replaced_and_the_process_started_again() {
    let service = Service::new();
    service
        .process()
        .restart(&service.target(), PATIENCE)
        .await
        .unwrap();
    let first = service.pid();
    let report = run(&service.swap("1.1")).await.unwrap();
    assert_eq!(report.outcome, Outcome::Swapped);
    assert_eq!(ask(&service.path("address")).as_deref(), Some("1.1"));
    assert_ne!(service.pid(), first);
    let log = service.process().logs(5).await.unwrap();
    assert_eq!(log, ["serving 1.0", "serving 1.1"]);
}

/// What a copy over the running binary meets, a rename does not.
#[tokio::test]
async fn g78_a_binary_that_runs_is_no_obstacle() {
    let service = Service::new();
    service
        .process()
        .restart(&service.target(), PATIENCE)
        .await
        .unwrap();
    let in_place = fs::OpenOptions::new().write(true).open(service.target());
    assert_eq!(
        in_place.unwrap_err().kind(),
        std::io::ErrorKind::ExecutableFileBusy
    );
    assert_eq!(
        run(&service.swap("1.1")).await.unwrap().outcome,
        Outcome::Swapped
    );
}

#[tokio::test]
async fn g79_a_binary_that_is_still_open_for_writing_is_started_a_moment_later() {
    let service = Service::new();
    let process = service.process();
    let writing = fs::OpenOptions::new()
        .append(true)
        .open(service.target())
        .unwrap();
    let target = service.target();
    let restart = process.restart(&target, PATIENCE);
    tokio::pin!(restart);
    // Tried once, and not given up.
    let tried = tokio::time::timeout(Duration::from_millis(1), &mut restart).await;
    assert!(tried.is_err(), "{tried:?}");
    drop(writing);
    restart.await.unwrap();
    assert!(matches!(
        process.state().await.unwrap(),
        ServiceState::Running(_)
    ));
}

#[tokio::test]
async fn g80_bad_binaries_are_rolled_back_and_the_old_process_runs() {
    let service = Service::new();
    run(&service.swap("1.1")).await.unwrap();
    for (version, says) in [
        ("1.2-exits", "it ended with exit status: 1"),
        ("1.3-hangs", "it did not say its version within 1 s"),
    ] {
        let swap = service.swap(version);
        let swap = if version.contains("hangs") {
            swap.with_deadline(Duration::from_secs(1))
        } else {
            swap
        };
        let error = assert_kind(run(&swap).await, ErrorKind::RolledBack);
        assert!(format!("{error:#}").contains(says), "{error:#}");
        if version.contains("exits") {
            let log = &error.report().unwrap().log;
            assert_eq!(log.last().unwrap(), "cannot serve: 1.2-exits");
        }
        let back = Answers(service.path("address"), "1.1".into());
        hot_swap::HealthProbe::check(&back, &service.target())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_process_that_does_not_end_is_killed() {
    let service = Service::new();
    let stubborn = LocalProcess::command(
        "sh",
        ["-c", "trap '' TERM; echo ready; while :; do sleep 1; done"],
        service.path("pid"),
    )
    .with_log(service.path("log"))
    .with_grace(Duration::from_millis(50));
    stubborn.restart(&service.target(), PATIENCE).await.unwrap();
    while stubborn.logs(1).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let first = service.pid();
    stubborn.restart(&service.target(), PATIENCE).await.unwrap();
    assert_ne!(service.pid(), first);
    let ended = fs::read_to_string(format!("/proc/{first}/stat"));
    assert!(ended.is_err(), "{ended:?}");
}

#[tokio::test]
async fn another_process_with_the_number_in_the_pid_file_is_left_alone() {
    let service = Service::new();
    let mut stranger = sleeper();
    fs::write(service.path("pid"), format!("{}\n", stranger.id())).unwrap();
    // Whoever did not write the file cannot say what it means.
    let supervised = LocalProcess::supervised(service.path("pid"));
    let error = assert_kind(
        supervised.restart(&service.target(), PATIENCE).await,
        ErrorKind::Policy,
    );
    assert!(error.to_string().contains("sleep"), "{error}");
    // Whoever did starts the service anew.
    service
        .process()
        .restart(&service.target(), PATIENCE)
        .await
        .unwrap();
    assert_ne!(service.pid(), stranger.id());
    assert_eq!(stranger.try_wait().unwrap(), None, "it lives");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

fn sleeper() -> Child {
    Command::new("sleep").arg("1000").spawn().unwrap()
}

/// A kill between the start and its note.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_start_that_was_never_noted_is_found() {
    let service = Service::new();
    service
        .process()
        .restart(&service.target(), PATIENCE)
        .await
        .unwrap();
    let (first, note) = (service.pid(), service.path("pid.started"));
    let noted: serde_json::Value = serde_json::from_slice(&fs::read(&note).unwrap()).unwrap();
    let boot = &noted["boot"];
    fs::write(
        note,
        format!(r#"{{"boot": {boot}, "pid": null, "time": 0}}"#),
    )
    .unwrap();
    fs::remove_file(service.path("pid")).unwrap();
    service
        .process()
        .restart(&service.target(), PATIENCE)
        .await
        .unwrap();
    assert_ne!(service.pid(), first);
    assert!(!lives(first), "there are not two");
}

fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z"))
}

/// Called in the same way, from elsewhere or by somebody: it is not the service.
#[tokio::test]
async fn a_process_that_was_called_alike_is_left_alone() {
    let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let process = |folder: &TempDir| {
        write_server(&folder.path().join("server"), "1.0");
        LocalProcess::command("./server", ["serve", "address"], folder.path().join("pid"))
            .with_folder(folder.path())
    };
    let (ours_process, other_process) = (process(&ours), process(&other));
    let started = |folder: &TempDir| {
        let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
        pid.trim().parse::<u32>().unwrap()
    };
    for process in [&ours_process, &other_process] {
        process
            .restart(Path::new("./server"), PATIENCE)
            .await
            .unwrap();
    }
    let (first, stranger) = (started(&ours), started(&other));
    fs::remove_file(ours.path().join("pid")).unwrap();
    let note = ours.path().join("pid.started");
    let noted: serde_json::Value = serde_json::from_slice(&fs::read(&note).unwrap()).unwrap();
    let boot = &noted["boot"];
    fs::write(
        note,
        format!(r#"{{"boot": {boot}, "pid": null, "time": 0}}"#),
    )
    .unwrap();
    ours_process
        .restart(Path::new("./server"), PATIENCE)
        .await
        .unwrap();
    assert!(lives(stranger) && !lives(first));
    for pid in [first, stranger, started(&ours)] {
        kill(pid, "KILL");
    }
}

/// `#!/bin/sh`: what runs is the shell.
#[tokio::test]
async fn a_service_that_is_a_script_is_ended_with_all_that_it_started() {
    use std::os::unix::fs::PermissionsExt as _;
    let service = Service::new();
    let script = "#!/bin/sh\nsleep 1000 &\necho $! >> children\nwait\n";
    fs::write(service.path("app"), script).unwrap();
    fs::set_permissions(service.path("app"), fs::Permissions::from_mode(0o755)).unwrap();
    let app =
        LocalProcess::command("./app", [""; 0], service.path("pid")).with_folder(service.path(""));
    let mut leaders = Vec::new();
    for starts in 1..=3 {
        app.restart(Path::new("./app"), PATIENCE).await.unwrap();
        leaders.push(service.pid());
        let children = || fs::read_to_string(service.path("children")).unwrap_or_default();
        while children().lines().count() < starts {
            tokio::task::yield_now().await;
        }
        let all = children();
        let mut all: Vec<u32> = all.lines().map(|line| line.parse().unwrap()).collect();
        assert!(lives(all.pop().unwrap()));
        assert!(all.into_iter().all(|before| !lives(before)));
        assert_eq!(leaders.iter().filter(|leader| lives(**leader)).count(), 1);
    }
    // The leader is gone, and what it started is not.
    kill(service.pid(), "KILL");
    app.restart(Path::new("./app"), PATIENCE).await.unwrap();
    let children = fs::read_to_string(service.path("children")).unwrap();
    assert!(!lives(children.lines().nth(2).unwrap().parse().unwrap()));
    kill_group(service.pid());
}

fn kill_group(leader: u32) {
    let group = format!("-{leader}");
    let _ = Command::new("kill")
        .args(["-KILL", "--", &group])
        .stderr(Stdio::null())
        .status();
}

#[tokio::test]
async fn a_supervised_process_is_told_and_waited_for() {
    let service = Service::new();
    let script =
        "while :; do \"$0\" serve \"$1\" & echo $! > \"$2.new\"; mv \"$2.new\" \"$2\"; wait; done";
    let mut supervisor = Command::new("sh")
        .args(["-c", script])
        .args([
            service.target(),
            service.path("address"),
            service.path("pid"),
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let up = Answers(service.path("address"), "1.0".into());
    hot_swap::HealthProbe::check(&up, &service.target())
        .await
        .unwrap();
    let process = LocalProcess::supervised(service.path("pid")).with_signal(Signal::Terminate);
    let done = run(&service.swap("1.1").with_runtime(process)).await;
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    assert_eq!(done.unwrap().outcome, Outcome::Swapped);
    assert_eq!(ask(&service.path("address")).as_deref(), Some("1.1"));
}

/// It was told, and takes its time: it still runs the binary from before, and that is not a restart.
#[tokio::test]
async fn a_supervised_process_that_ends_slowly_is_waited_for() {
    let service = Service::new();
    let slow = "trap 'sleep 0.5; exit' TERM; while :; do sleep 0.05; done";
    fs::write(service.path("slow"), format!("#!/bin/sh\n{slow}\n")).unwrap();
    let script = "while :; do sh \"$0\" & echo $! > \"$1.new\"; mv \"$1.new\" \"$1\"; wait; done";
    let mut supervisor = Command::new("sh")
        .args(["-c", script])
        .args([service.path("slow"), service.path("pid")])
        .spawn()
        .unwrap();
    while !service.path("pid").exists() {
        tokio::task::yield_now().await;
    }
    let first = service.pid();
    let process = LocalProcess::supervised(service.path("pid"));
    let told = process.restart(&service.path("slow"), PATIENCE).await;
    let second = service.pid();
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    told.unwrap();
    assert_ne!(second, first);
}

#[tokio::test]
async fn a_wrong_name_changes_nothing() {
    let service = Service::new();
    let before = fs::read(service.target()).unwrap();
    let nobody = service
        .swap("1.1")
        .with_runtime(LocalProcess::supervised(service.path("typo")));
    let error = assert_kind(run(&nobody).await, ErrorKind::Runtime);
    assert!(
        error.to_string().contains("start its supervisor"),
        "{error}"
    );
    fs::write(service.path("file"), "").unwrap();
    let log = service.process().with_log(service.path("file/log"));
    assert!(run(&service.swap("1.1").with_runtime(log)).await.is_err());
    let unit = hot_swap::SystemdUnit::new("web.service").with_programs("/nonexistent", "/x");
    assert_kind(
        run(&service.swap("1.1").with_runtime(unit)).await,
        ErrorKind::Runtime,
    );
    assert_eq!(fs::read(service.target()).unwrap(), before);
}

#[tokio::test]
async fn a_pid_file_that_says_nothing_useful_is_named() {
    let service = Service::new();
    let supervised = LocalProcess::supervised(service.path("pid"));
    assert!(matches!(
        supervised.state().await.unwrap(),
        ServiceState::Stopped(_)
    ));
    let error = assert_kind(
        supervised.restart(&service.target(), PATIENCE).await,
        ErrorKind::Runtime,
    );
    assert!(
        error.to_string().contains("start its supervisor"),
        "{error}"
    );
    fs::write(service.path("pid"), "many\n").unwrap();
    let error = assert_kind(supervised.state().await, ErrorKind::Runtime);
    assert!(
        error.to_string().contains("does not hold a number"),
        "{error}"
    );
    fs::remove_file(service.path("pid")).unwrap();
}
