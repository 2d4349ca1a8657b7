//! Row 65: a release that does not work is left again, and is not tried again by itself.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use downloader::MemoryDownloader;
use durable_fs::{Disk, Effect, Operation, Verdict};
use updater::{
    CancellationToken, Candidate, Error, ErrorKind, FailedReleases, HealthProbe, HistoryEvent,
    ProbeFn, Unhealthy, UpdaterBuilder, UrlProbe,
};

use crate::support::{Heard, Release, World, apply, replace, url, write};

const LONG: Duration = Duration::from_mins(1);

fn first() -> Release {
    Release::new("1.0.0")
        .file("main.py", "one")
        .file("same.py", "same")
}

fn second() -> Release {
    first().next("1.1.0").file("main.py", "two")
}

/// Answers as it was told to, and counts.
#[derive(Clone, Debug)]
struct Probe {
    answer: Result<(), Unhealthy>,
    asked: Arc<AtomicUsize>,
}

impl Probe {
    fn well() -> Self {
        let asked = Arc::default();
        Self {
            answer: Ok(()),
            asked,
        }
    }

    fn sick() -> Self {
        Self {
            answer: Err(Unhealthy::new("port 8188 is not open")),
            ..Self::well()
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl HealthProbe for Probe {
    async fn check(&self, candidate: &Candidate) -> Result<(), Unhealthy> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // It is the active one already.
        let current = fs::read_to_string(candidate.root.join("current.txt")).unwrap();
        assert_eq!(current, candidate.version.folder_name());
        assert!(candidate.folder.join("main.py").exists());
        self.answer.clone()
    }
}

async fn apply_with(builder: UpdaterBuilder, release: &Release) -> Result<(), Error> {
    apply(&builder.build().unwrap(), release).await.map(drop)
}

async fn apply_probed(world: &World, probe: &Probe, release: &Release) -> Result<(), Error> {
    apply_with(
        world.builder().with_health_probe(probe.clone(), LONG),
        release,
    )
    .await
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[track_caller]
fn assert_unhealthy(result: Result<(), Error>, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unhealthy, "{error:?}");
    assert!(chain(&error).contains(words), "{}", chain(&error));
}

async fn world() -> World {
    let world = World::with(&first()).await;
    write(&world.installed(&first(), "notes.txt"), "mine");
    world.serve(&first());
    world.serve(&second());
    world
}

const MINE: &[(&str, &str)] = &[("notes.txt", "mine")];

#[tokio::test]
async fn e65_a_release_that_works_stays_and_is_asked_once() {
    let (world, probe) = (world().await, Probe::well());
    apply_probed(&world, &probe, &second()).await.unwrap();
    assert_eq!(probe.asked(), 1);
    world.assert_active(&second(), MINE);
    // Nobody asks again about what has shown that it works.
    apply_probed(&world, &Probe::sick(), &second())
        .await
        .unwrap();
    world.assert_active(&second(), MINE);
    assert!(!world.path(".lockstep/trial.json").exists());
}

#[tokio::test]
async fn e65_a_release_that_does_not_work_is_left_and_not_tried_again() {
    let (world, probe) = (world().await, Probe::sick());
    let result = apply_probed(&world, &probe, &second()).await;
    assert_unhealthy(result, "port 8188 is not open");
    world.assert_active(&first(), MINE);
    let history = world.updater().history().await.unwrap();
    let last: Vec<HistoryEvent> = history.iter().rev().take(2).map(|e| e.event).collect();
    assert_eq!(last, [HistoryEvent::RolledBack, HistoryEvent::Failed]);

    // Not by itself, whoever asks and how often; and nothing is fetched for it.
    let requests = world.requests();
    for builder in [
        world.builder(),
        world.builder().with_health_probe(probe.clone(), LONG),
    ] {
        assert_unhealthy(
            apply_with(builder, &second()).await,
            "it is not tried again",
        );
    }
    assert_eq!((probe.asked(), world.requests()), (1, requests));
    world.assert_active(&first(), MINE);

    // The next release is another one.
    let third = second().next("1.2.0").file("main.py", "three");
    world.install(&third).await;
    world.assert_active(&third, MINE);
}

#[tokio::test]
async fn e65_a_release_that_did_not_work_is_tried_again_when_somebody_says_so() {
    let world = world().await;
    let result = apply_probed(&world, &Probe::sick(), &second()).await;
    assert_unhealthy(result, "1.0.0 is active again");
    let probe = Probe::well();
    let retrying = || {
        let builder = world.builder().with_health_probe(probe.clone(), LONG);
        builder.with_failed_releases(FailedReleases::Retry)
    };
    apply_with(retrying(), &second()).await.unwrap();
    assert_eq!(probe.asked(), 1);
    world.assert_active(&second(), MINE);
    // It is forgotten.
    world.install(&second()).await;
    world.assert_active(&second(), MINE);
}

#[tokio::test]
async fn e65_no_answer_within_the_deadline_is_a_no() {
    #[derive(Debug)]
    struct Never;
    #[async_trait]
    impl HealthProbe for Never {
        async fn check(&self, _: &Candidate) -> Result<(), Unhealthy> {
            std::future::pending().await
        }
    }
    let world = world().await;
    let builder = world.builder();
    let builder = builder.with_health_probe(Never, Duration::from_millis(50));
    assert_unhealthy(apply_with(builder, &second()).await, "within 0.05 s");
    world.assert_active(&first(), MINE);
}

#[tokio::test]
async fn e65_a_url_is_asked_until_it_answers_or_the_deadline_has_passed() {
    let world = world().await;
    let memory = MemoryDownloader::new();
    let ready = url("http://localhost.test/ready");
    let probe = UrlProbe::new(ready.clone(), Arc::new(memory.clone()));
    let probed = |deadline| {
        let builder = world.builder().with_health_probe(probe.clone(), deadline);
        builder.with_failed_releases(FailedReleases::Retry)
    };
    let result = apply_with(probed(Duration::from_millis(50)), &second()).await;
    assert_unhealthy(result, "no good answer");
    world.assert_active(&first(), MINE);
    memory.insert(ready, "ok");
    apply_with(probed(LONG), &second()).await.unwrap();
    world.assert_active(&second(), MINE);
}

#[cfg(unix)]
#[tokio::test]
async fn e65_a_command_says_whether_the_release_works() {
    use updater::CommandProbe;

    let shell = |script: &str| CommandProbe::new("sh").with_arguments(["-c", script]);
    let (probed, deadline) = (world().await, Duration::from_millis(200));
    let builder = |probe: CommandProbe, deadline| {
        let builder = probed.builder().with_health_probe(probe, deadline);
        builder.with_failed_releases(FailedReleases::Retry)
    };
    for (probe, deadline, words) in [
        (shell("echo out; echo no GPU >&2; exit 3"), LONG, "no GPU"),
        (shell("echo only out; exit 1"), LONG, "only out"),
        (
            CommandProbe::new("/no/such/program"),
            LONG,
            "could not be started",
        ),
        (shell("exec sleep 1000"), deadline, "no good answer"),
    ] {
        let result = apply_with(builder(probe, deadline), &second()).await;
        assert_unhealthy(result, words);
        probed.assert_active(&first(), MINE);
    }
    let script = r#"test "$(cat main.py)" = two && test "$LOCKSTEP_VERSION" = 1.1.0 &&
        test "$(cat "$LOCKSTEP_ROOT/current.txt")" = v1.1.0 && test -z "$(cat)""#;
    apply_with(builder(shell(script), LONG), &second())
        .await
        .unwrap();
    probed.assert_active(&second(), MINE);
}

#[tokio::test]
async fn e65_a_first_release_that_does_not_work_leaves_none_active() {
    let (world, probe) = (World::new(), Probe::sick());
    world.serve(&first());
    write(&world.path("user_data/model"), "mine");
    let result = apply_probed(&world, &probe, &first()).await;
    assert_unhealthy(result, "no release is active");
    assert!(!world.path("current.txt").exists());
    assert!(world.updater().status().await.unwrap().active.is_none());

    // What the user, or the tool, put into it by now stays; recovery does not make it active.
    write(&world.installed(&first(), "notes.txt"), "mine");
    assert_unhealthy(
        apply_probed(&world, &probe, &first()).await,
        "not tried again",
    );
    assert!(!world.path("current.txt").exists());
    assert_eq!(probe.asked(), 1);
    world.install(&second()).await;
    assert_eq!(world.current(), "v1.1.0");
    for path in ["releases/v1.0.0/notes.txt", "user_data/model"] {
        assert_eq!(fs::read_to_string(world.path(path)).unwrap(), "mine");
    }
}

/// The process dies when the probe is asked: nobody hears the answer.
#[derive(Debug)]
struct Dies;

#[async_trait]
impl HealthProbe for Dies {
    async fn check(&self, _: &Candidate) -> Result<(), Unhealthy> {
        std::future::pending().await
    }
}

/// Until the probe is asked.
async fn asked(world: &World, folder: &str) {
    let current = world.path("current.txt");
    while fs::read_to_string(&current).unwrap_or_default() != folder {
        tokio::task::yield_now().await;
    }
}

async fn die_before_the_answer(world: &World) {
    let builder = world.builder().with_health_probe(Dies, LONG);
    let (updater, never, trusted) = (
        builder.build().unwrap(),
        CancellationToken::new(),
        second().trusted(),
    );
    tokio::select! {
        biased;
        () = asked(world, "v1.1.0") => {}
        _ = updater.apply(&trusted, &never) => panic!("nobody answers"),
    }
    // The work ends by itself, and frees the lock.
    while let Err(error) = updater.prune().await {
        assert_eq!(error.kind(), ErrorKind::Busy);
        tokio::task::yield_now().await;
    }
    world.assert_active(&second(), MINE);
}

async fn cancel_before_the_answer(world: &World, release: &Release) -> Error {
    let builder = world.builder().with_health_probe(Dies, LONG);
    let (cancel, trusted) = (CancellationToken::new(), release.trusted());
    let updater = builder.build().unwrap();
    let (result, ()) = tokio::join!(updater.apply(&trusted, &cancel), async {
        asked(world, &release.folder_name()).await;
        cancel.cancel();
    });
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    error
}

#[tokio::test]
async fn e65_who_cancels_before_the_answer_gets_the_release_before_back() {
    for (probe, active) in [(Probe::well(), second()), (Probe::sick(), first())] {
        let world = world().await;
        let error = cancel_before_the_answer(&world, &second()).await;
        assert!(
            error.to_string().contains("release 1.0.0 is active again"),
            "{error}"
        );
        world.assert_active(&first(), MINE);
        assert!(!world.path(".lockstep/trial.json").exists());
        let history = world.updater().history().await.unwrap();
        assert_eq!(history.last().unwrap().event, HistoryEvent::RolledBack);
        assert!(
            history
                .iter()
                .all(|entry| entry.event != HistoryEvent::Failed)
        );

        // It is not known not to work: the next update installs it, fetches nothing, and asks.
        let requests = world.requests();
        let result = apply_probed(&world, &probe, &second()).await;
        assert_eq!(
            (probe.asked(), world.requests()),
            (1, requests),
            "{result:?}"
        );
        assert_eq!(result.is_ok(), probe.answer.is_ok(), "{result:?}");
        world.assert_active(&active, MINE);
    }
}

#[tokio::test]
async fn e65_who_cancels_before_the_first_answer_of_all_has_no_active_release() {
    for probe in [Probe::well(), Probe::sick()] {
        let world = World::new();
        world.serve(&first());
        let error = cancel_before_the_answer(&world, &first()).await;
        assert!(
            error.to_string().contains("no release is active"),
            "{error}"
        );
        assert!(!world.path("current.txt").exists());

        // Nor does anything else that opens the installation make it active.
        let cancel = CancellationToken::new();
        let repaired = world.updater().repair(&cancel).await;
        assert_eq!(repaired.unwrap_err().kind(), ErrorKind::NoInstallation);
        let refused = apply(&world.updater(), &Release::new("0.9.0").file("a", "a")).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!world.path("current.txt").exists());
        let diagnosis = world.updater().fix(&cancel).await.unwrap().remaining;
        assert!(!diagnosis.is_healthy());
        assert!(!world.path("current.txt").exists());

        let result = apply_probed(&world, &probe, &first()).await;
        assert_eq!(probe.asked(), 1, "{result:?}");
        assert_eq!(result.is_ok(), probe.answer.is_ok(), "{result:?}");
        assert_eq!(world.path("current.txt").exists(), result.is_ok());
    }
}

#[tokio::test]
async fn e65_if_going_back_fails_after_a_cancellation_the_error_says_so() {
    let world = world().await;
    replace(&world.installed(&first(), "main.py"), "damaged");
    world.memory.remove(&first().url("main.py"));
    let error = cancel_before_the_answer(&world, &second()).await;
    assert!(chain(&error).contains("going back failed; it is still active, on trial"));
    assert!(chain(&error).contains("damaged"), "{}", chain(&error));
    world.assert_active(&second(), MINE);
    assert!(
        world
            .updater()
            .status()
            .await
            .unwrap()
            .active
            .unwrap()
            .on_trial
    );
}

#[tokio::test]
async fn e65_a_release_on_trial_is_named_until_somebody_says_that_it_works() {
    let world = world().await;
    let on_trial = async || {
        let status = world.updater().status().await.unwrap();
        status.active.unwrap().on_trial
    };
    assert!(!on_trial().await);
    die_before_the_answer(&world).await;
    assert!(on_trial().await);

    // Without a probe, nobody can say.
    let report = apply(&world.updater(), &second()).await.unwrap();
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("on trial")),
        "{:?}",
        report.warnings
    );
    assert!(on_trial().await);

    apply_probed(&world, &Probe::well(), &second())
        .await
        .unwrap();
    assert!(!on_trial().await);
    let report = apply(&world.updater(), &second()).await.unwrap();
    assert_eq!(report.warnings, [""; 0]);
}

#[tokio::test]
async fn e65_a_crash_before_the_answer_does_not_make_anybody_forget_to_ask() {
    for (probe, active) in [(Probe::well(), second()), (Probe::sick(), first())] {
        let world = world().await;
        die_before_the_answer(&world).await;
        let result = apply_probed(&world, &probe, &second()).await;
        assert_eq!(probe.asked(), 1);
        assert_eq!(result.is_ok(), probe.answer.is_ok(), "{result:?}");
        world.assert_active(&active, MINE);
        assert!(!world.path(".lockstep/trial.json").exists());
    }
}

/// A disk on which `current.txt` cannot be replaced from the second time on.
#[derive(Debug)]
struct NoWayBack(AtomicUsize);

impl durable_fs::Observer for NoWayBack {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        let to = effect.to.as_ref();
        let is_switch = effect.operation == Operation::Rename
            && to.is_some_and(|to| to.ends_with("current.txt"));
        if is_switch && self.0.fetch_add(1, Ordering::SeqCst) > 0 {
            return Verdict::Fail(std::io::Error::from_raw_os_error(testkit::EIO));
        }
        Verdict::Proceed
    }

    fn after(&self, _: &Effect<'_>) {}
}

#[tokio::test]
async fn e65_a_crash_while_going_back_is_finished_by_the_next_update() {
    let (world, probe) = (world().await, Probe::sick());
    let broken = Disk::observed(Arc::new(NoWayBack(AtomicUsize::new(0))));
    let builder = world.builder().with_disk(broken);
    let result = apply_with(builder.with_health_probe(probe.clone(), LONG), &second()).await;
    assert_unhealthy(result, "going back failed");
    world.assert_active(&second(), MINE);

    // Known not to work: nobody asks again, with or without a probe.
    let heard = Heard::default();
    let builder = world.builder().with_observer(heard.listener());
    let result = apply_with(builder, &second()).await;
    assert_unhealthy(result, "port 8188 is not open");
    assert!(
        heard
            .warnings()
            .iter()
            .any(|text| text.contains("1.0.0 is active again")),
        "{:?}",
        heard.warnings()
    );
    world.assert_active(&first(), MINE);
    assert_eq!(probe.asked(), 1);
    assert!(!world.path(".lockstep/trial.json").exists());
}

#[tokio::test]
async fn e65_the_release_before_is_repaired_on_the_way_back_if_it_can_be() {
    let world = world().await;
    replace(&world.installed(&first(), "main.py"), "damaged");
    let result = apply_probed(&world, &Probe::sick(), &second()).await;
    assert_unhealthy(result, "1.0.0 is active again");
    world.assert_active(&first(), MINE);
}

#[tokio::test]
async fn e65_if_the_release_before_cannot_be_repaired_the_error_says_so() {
    let (world, probe) = (world().await, Probe::sick());
    replace(&world.installed(&first(), "main.py"), "damaged");
    world.memory.remove(&first().url("main.py"));
    let result = apply_probed(&world, &probe, &second()).await;
    assert_unhealthy(result, "going back failed");
    // Better a release whose bytes are right than one that is damaged.
    world.assert_active(&second(), MINE);

    // As soon as it can be repaired, the next update goes back.
    world.serve(&first());
    let result = apply_probed(&world, &probe, &second()).await;
    assert_unhealthy(result, "it is not tried again");
    world.assert_active(&first(), MINE);
    assert_eq!(probe.asked(), 1, "no loop");
}

#[tokio::test]
async fn e65_a_release_that_was_active_before_stands_trial_when_it_comes_back() {
    let world = world().await;
    world.install(&second()).await;
    let cancel = CancellationToken::new();
    world.updater().rollback(None, &cancel).await.unwrap();
    world.assert_active(&first(), MINE);
    let sick = ProbeFn(|_: &Candidate| Err(Unhealthy::new("it hangs")));
    let builder = world.builder().with_health_probe(sick, LONG);
    assert_unhealthy(apply_with(builder, &second()).await, "it hangs");
    world.assert_active(&first(), MINE);
}
