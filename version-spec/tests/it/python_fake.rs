//! The torch guard, conflicts and digests, by packages that the tests make up.

use version_spec::{
    AskerRole, CancellationToken, ErrorKind, FakePython, FakePythonCall, PythonEnv as _,
    PythonRequest, Requirements, is_synced, lock_together,
};

use crate::wheels::{Place, asked};

fn never() -> CancellationToken {
    CancellationToken::new()
}

fn request(askers: &[(&str, &[&str])]) -> PythonRequest {
    asked(PythonRequest::new("cache"), askers)
}

fn torches() -> FakePython {
    FakePython::new()
        .with_package("torch", "2.0", &[])
        .with_package("torch", "2.1", &[])
        .with_package("torchvision", "0.15", &["torch==2.0"])
        .with_package("torchvision", "0.16", &["torch==2.1"])
        .with_package("numpy", "1.26", &[])
        .with_package("numpy", "2.1", &[])
}

fn versions(locked: &str) -> String {
    let lines = locked.lines().filter_map(|line| line.strip_suffix(" \\"));
    lines.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn without_nodes_or_without_torch_it_is_one_or_two_resolutions() {
    let python = torches();
    let locked = lock_together(
        &python,
        &request(&[("ComfyUI", &["torch"]), ("Silent", &[])]),
        &never(),
    )
    .await
    .unwrap();
    assert_eq!(versions(&locked), "torch==2.1");
    assert_eq!(python.calls().len(), 1);
    let locked = lock_together(
        &python,
        &request(&[("ComfyUI", &["numpy"]), ("Node", &["torch<2.1"])]),
        &never(),
    )
    .await
    .unwrap();
    assert_eq!(versions(&locked), "numpy==2.1 torch==2.0");
    assert_eq!(python.calls().len(), 3);
    let locked = lock_together(&python, &request(&[("Node", &["torch<2.1"])]), &never())
        .await
        .unwrap();
    assert_eq!(versions(&locked), "torch==2.0");
    assert_eq!(python.calls().len(), 4);
}

#[tokio::test]
async fn nodes_are_held_to_the_torch_of_the_base() {
    let python = torches();
    let askers: &[(&str, &[&str])] = &[("ComfyUI", &["torch<2.1"]), ("Vision", &["torchvision"])];
    let locked = lock_together(&python, &request(askers), &never())
        .await
        .unwrap();
    assert_eq!(versions(&locked), "torch==2.0 torchvision==0.15");
    assert_eq!(python.calls().len(), 2);
    let FakePythonCall::Lock(held) = &python.calls()[1] else {
        panic!()
    };
    assert_eq!(held.constraints, ["torch==2.0"]);
}

#[tokio::test]
async fn a_node_that_would_replace_torch_is_refused_by_name() {
    let python = torches();
    let node = Requirements::new("Old", AskerRole::Node, ["numpy", "torchvision==0.15"])
        .with_pointer("/custom_nodes/1");
    let good =
        Requirements::new("Good", AskerRole::Node, ["torchvision"]).with_pointer("/custom_nodes/0");
    let request = request(&[("ComfyUI", &["torch"])])
        .with_requirements(good)
        .with_requirements(node);
    let error = lock_together(&python, &request, &never())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Torch);
    assert_eq!(error.pointer(), Some("/custom_nodes/1"));
    let text = "/custom_nodes/1: Old would replace the base's torch 2.1 by 2.0 (it asks for \"torchvision==0.15\")";
    assert_eq!(error.to_string(), text);
    assert!(error.hint().unwrap().contains("\"allow_torch\": true"));
    let allowed = request.with_torch_of("Old");
    let locked = lock_together(&python, &allowed, &never()).await.unwrap();
    assert_eq!(versions(&locked), "numpy==2.1 torch==2.0 torchvision==0.15");
}

#[tokio::test]
async fn nodes_that_only_together_would_replace_torch_are_named() {
    let python = FakePython::new()
        .with_package("torch", "2.0", &[])
        .with_package("torch", "2.1", &[])
        .with_package("left", "1.0", &["mid<2"])
        .with_package("right", "1.0", &["mid"])
        .with_package("right", "0.5", &["mid<1"])
        .with_package("mid", "1.0", &["torch<2.1"])
        .with_package("mid", "2.0", &[])
        .with_package("mid", "0.1", &[]);
    // One alone takes mid 0.1, the other mid 2.0; together only mid 1.0 is left.
    let askers: &[(&str, &[&str])] = &[
        ("ComfyUI", &["torch"]),
        ("Left", &["left"]),
        ("Idle", &["torch"]),
        ("Right", &["right==1.0", "mid!=0.1"]),
    ];
    let error = lock_together(&python, &request(askers), &never())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Torch);
    let text = error.to_string();
    assert!(
        text.starts_with(
            "Right, together with other nodes, would replace the base's torch 2.1 by 2.0"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn a_conflict_that_has_nothing_to_do_with_torch_stays_one() {
    let python = torches();
    let askers: &[(&str, &[&str])] = &[
        ("ComfyUI", &["torch"]),
        ("KJNodes", &["numpy<2"]),
        ("rgthree", &["numpy>=2"]),
    ];
    let error = lock_together(&python, &request(askers), &never())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Python);
    assert!(
        error
            .to_string()
            .ends_with(r#"KJNodes asks for "numpy<2", rgthree asks for "numpy>=2""#),
        "{error}"
    );
    let error = lock_together(&python, &request(&[("ComfyUI", &["gone"])]), &never())
        .await
        .unwrap_err();
    assert!(
        error.to_string().ends_with("ComfyUI asks for \"gone\""),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_no_conflict_ends_the_search_at_once() {
    let python = torches();
    python.fail_lock(Some((ErrorKind::Network, "the server cannot be reached")));
    let askers: &[(&str, &[&str])] = &[("ComfyUI", &["torch"]), ("Node", &["torch"])];
    let error = lock_together(&python, &request(askers), &never())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_eq!(python.calls().len(), 1);
    python.fail_lock(None);
    lock_together(&python, &request(askers), &never())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_unfinished_environment_is_made_anew() {
    let python = torches();
    let place = Place::new();
    let (venv, cancel) = (place.venv(), never());
    let request = request(&[("ComfyUI", &["torch", "numpy"])]);
    let locked = python.lock(&request, &cancel).await.unwrap();
    python.fail_sync(Some((ErrorKind::NoSpace, "the disk is full")));
    let error = python
        .sync(&venv, &locked, &request, &cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(!is_synced(&venv, &locked, &request));
    assert_eq!(python.installed(&venv, &cancel).await.unwrap().len(), 1);
    python.fail_sync(None);
    let done = python
        .sync(&venv, &locked, &request, &cancel)
        .await
        .unwrap();
    assert_eq!((done.installed, done.removed), (2, 0));
    assert!(is_synced(&venv, &locked, &request));
    assert!(!is_synced(
        &venv,
        &locked,
        &request.clone().with_python("3.12")
    ));
    let evil = locked.replace("sha256:", "sha256:0");
    let error = python
        .sync(&venv, &evil, &request, &cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
}

#[tokio::test]
async fn scripts_of_a_fake_leave_what_they_should() {
    let python = torches();
    let place = Place::new();
    let cancel = never();
    let (script, log) = (place.path("node/install.py"), place.path("log"));
    python
        .sync(&place.venv(), "", &PythonRequest::new("cache"), &cancel)
        .await
        .unwrap();
    python.let_scripts_write("made.txt", "by install.py");
    python
        .run(
            &place.venv(),
            &script,
            &place.path("wheels"),
            &[],
            &log,
            &cancel,
        )
        .await
        .unwrap();
    assert_eq!(
        std::fs::read_to_string(place.path("wheels/made.txt")).unwrap(),
        "by install.py"
    );
    python.fail_script(&script, "boom\n");
    let error = python
        .run(
            &place.venv(),
            &script,
            &place.path("wheels"),
            &[],
            &log,
            &cancel,
        )
        .await
        .unwrap_err();
    assert!(error.to_string().contains("boom"), "{error}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "boom\n");
}

#[test]
fn a_digest_is_of_what_is_asked_for_and_not_of_where_it_is_taken_from() {
    let asks = request(&[("ComfyUI", &["torch"]), ("Node", &["numpy"])]);
    let digest = asks.digest();
    assert_eq!(
        request(&[("Node", &["numpy"]), ("ComfyUI", &["torch"])]).digest(),
        digest
    );
    assert_eq!(
        asks.clone()
            .with_wheels_dir("wheels")
            .without_network()
            .digest(),
        digest
    );
    for other in [
        request(&[("ComfyUI", &["torch"]), ("Node", &["numpy<2"])]),
        request(&[("ComfyUI", &["torch"]), ("Other", &["numpy"])]),
        request(&[("ComfyUI", &["torch", "numpy"])]),
        asks.clone().with_python("3.11"),
        asks.clone().with_torch_of("Node"),
        asks.clone().with_constraint("numpy<2"),
    ] {
        assert_ne!(other.digest(), digest, "{other:?}");
    }
}
