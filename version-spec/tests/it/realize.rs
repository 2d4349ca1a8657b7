//! Realizing a version, by a scripted git, made-up packages and a net in memory.

use std::fs;

use version_spec::{
    Action, CancellationToken, ErrorKind, Existing, FakeCall, FakePythonCall, Outcome, Part,
    Refresh,
};

use crate::realize_world::{
    CORE, MODEL, ONE, TWO, World, lock, plan, realize, repo, spec, spec_of, try_realize,
};

#[tokio::test]
async fn a_version_is_realized_and_then_nothing_is_left_to_do() {
    let world = World::new();
    let comfy = world.comfy();
    let done = realize(&comfy, &spec(), &world.home()).await;
    assert_eq!(
        (done.outcome, done.missing.len(), done.kept.len()),
        (Outcome::Complete, 0, 0),
        "{done:#?}"
    );
    assert_eq!(done.downloaded, 16);
    assert_eq!(world.read("home/main.py"), "print('one')\n");
    assert_eq!(world.read("home/custom_nodes/One/node.py"), "one\n");
    assert!(world.path("home/custom_nodes/One").is_symlink());
    assert!(!world.path("home/main.py").is_symlink());
    assert_eq!(world.read("cache/models/loras/x.bin"), "weights, sixteen");
    assert!(
        world
            .read("home/extra_model_paths.yaml")
            .contains("cache/models")
    );
    assert_eq!(
        world.read("home/.git/HEAD").trim(),
        done.lock.comfy.commit.as_str()
    );
    // What was seen for the first time is pinned.
    let saved = comfy.locks().load(&spec().version_id).unwrap().unwrap();
    assert_eq!(saved, done.lock);
    assert!(saved.models[0].size == 16 && saved.python.is_some());

    let (calls, before) = (world.calls(), world.listing(""));
    assert!(plan(&comfy, &spec(), &world.home()).await.is_empty());
    assert_eq!(realize(&comfy, &spec(), &world.home()).await.steps, 0);
    assert_eq!(world.calls(), calls);
    assert_eq!(world.listing(""), before);
}

#[tokio::test]
async fn a_plan_says_everything_and_changes_nothing() {
    let world = World::new();
    let comfy = world.comfy();
    let (spec, cancel) = (spec(), CancellationToken::new());
    let lock = comfy
        .look_up(&spec, Refresh::No, &cancel)
        .await
        .unwrap()
        .lock;
    let calls = world.calls();
    let plan = comfy.plan(&spec, &lock, &world.home()).unwrap();
    assert_eq!(world.calls(), calls);
    assert!(world.listing("").is_empty());
    let text = plan.to_string();
    for line in [
        "fetch ComfyUI",
        "fetch the node One",
        "bring ComfyUI",
        "link the node Two",
        "lock the Python packages of ComfyUI, One, Two",
        "make the environment",
        "run the install.py of the node One, if it has one",
        "download https://models/x.bin",
        "extra_model_paths.yaml",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert_eq!(plan.download(), (0, 5));
    for (index, step) in plan.steps.iter().enumerate() {
        assert!(step.after.iter().all(|needed| *needed < index), "{plan:#?}");
    }
    // What is not fetched yet is what the size is known of, once it is pinned.
    let mut pinned = realize(&comfy, &spec, &world.home()).await.lock;
    fs::remove_dir_all(world.path("cache/models")).unwrap();
    pinned.models[0].size = 16;
    assert_eq!(
        comfy
            .plan(&spec, &pinned, &world.home())
            .unwrap()
            .download(),
        (16, 0)
    );
}

/// What the plan says then, and how.
type Damage = (&'static str, fn(&World));

#[tokio::test]
async fn what_is_damaged_is_noticed_and_mended() {
    let world = World::new();
    let comfy = world.comfy();
    realize(&comfy, &spec(), &world.home()).await;
    let damages: [Damage; 7] = [
        ("link the node One", |world| {
            fs::remove_file(world.path("home/custom_nodes/One")).unwrap();
        }),
        (
            "mend ComfyUI in the home: 1 of its files changed or gone (main.py)",
            |world| {
                fs::remove_file(world.path("home/main.py")).unwrap();
            },
        ),
        (
            "mend ComfyUI in the home: 1 of its files changed or gone (comfy/ops.py)",
            |world| {
                world.write("home/comfy/ops.py", "by hand, and longer\n");
            },
        ),
        (
            "mend ComfyUI in the home: 1 of its files changed or gone (.git)",
            |world| fs::remove_dir_all(world.path("home/.git")).unwrap(),
        ),
        ("place the model", |world| {
            fs::remove_file(world.path("cache/models/loras/x.bin")).unwrap();
        }),
        ("make the environment", |world| {
            fs::remove_dir_all(world.path("home/.venv")).unwrap();
        }),
        ("extra_model_paths.yaml", |world| {
            fs::remove_file(world.path("home/extra_model_paths.yaml")).unwrap();
        }),
    ];
    for (step, damage) in damages {
        damage(&world);
        let plan = plan(&comfy, &spec(), &world.home()).await;
        assert!(
            plan.steps.len() <= 2 && plan.to_string().contains(step),
            "{step}:\n{plan}"
        );
        realize(&comfy, &spec(), &world.home()).await;
        assert!(
            crate::realize_world::plan(&comfy, &spec(), &world.home())
                .await
                .is_empty(),
            "{step}"
        );
    }
    assert_eq!(world.read("home/comfy/ops.py"), "one\n");
    let kept: Vec<_> = world
        .listing("home/.lockstep-comfy/kept")
        .into_keys()
        .filter(|path| path.is_file())
        .collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(
        fs::read_to_string(&kept[0]).unwrap(),
        "by hand, and longer\n"
    );
    // The cache was not written to.
    let checkout = world
        .cache()
        .comfy(&repo(CORE), &lock(&comfy, &spec()).await.comfy.commit);
    assert_eq!(
        fs::read_to_string(checkout.join("comfy/ops.py")).unwrap(),
        "one\n"
    );
}

#[tokio::test]
async fn a_file_that_was_only_touched_is_no_damage() {
    let world = World::new();
    let comfy = world.comfy();
    realize(&comfy, &spec(), &world.home()).await;
    let same = world.read("home/main.py");
    world.write("home/main.py", &same);
    assert!(plan(&comfy, &spec(), &world.home()).await.is_empty());
}

#[tokio::test]
async fn files_of_the_user_survive_a_move_to_another_commit() {
    let world = World::new();
    let comfy = world.comfy();
    world.write("home/output/mine.png", "mine");
    realize(&comfy, &spec(), &world.home()).await;
    for (path, text) in [
        ("home/custom_nodes/ByHand/node.py", "by hand"),
        ("home/input/example.png", "my picture"),
        ("home/user/default/workflow.json", "{}"),
        ("home/models/checkpoints/my.safetensors", "my model"),
        ("home/comfy/mine.py", "mine"),
        ("home/comfy/ops.py", "changed by hand"),
    ] {
        world.write(path, text);
    }
    fs::remove_file(world.path("home/models/checkpoints/put_checkpoints_here")).unwrap();
    world.write("home/comfy/old/__pycache__/gone.pyc", "");
    world.move_core();
    let cancel = CancellationToken::new();
    let lock = comfy
        .resolve(&spec(), Refresh::Yes, &cancel)
        .await
        .unwrap()
        .lock;
    let done = comfy
        .realize(&spec(), &lock, &world.home(), &cancel)
        .await
        .unwrap();
    for (path, text) in [
        ("home/main.py", "print('two')\n"),
        ("home/comfy/ops.py", "two\n"),
        ("home/comfy/new.py", "new\n"),
        ("home/output/mine.png", "mine"),
        ("home/custom_nodes/ByHand/node.py", "by hand"),
        ("home/input/example.png", "my picture"),
        ("home/user/default/workflow.json", "{}"),
        ("home/models/checkpoints/my.safetensors", "my model"),
        ("home/comfy/mine.py", "mine"),
    ] {
        assert_eq!(world.read(path), text, "{path}");
    }
    assert!(
        !world.exists("home/comfy/old")
            && !world.exists("home/models/checkpoints/put_checkpoints_here")
    );
    assert_eq!(done.kept.len(), 1, "{done:#?}");
    assert_eq!(
        world.read(&format!("home/{}", done.kept[0])),
        "changed by hand"
    );
    assert_eq!(
        world.read("home/.git/HEAD").trim(),
        lock.comfy.commit.as_str()
    );
    assert!(plan(&comfy, &spec(), &world.home()).await.is_empty());
}

#[tokio::test]
async fn a_node_that_the_spec_does_not_name_any_more_is_unlinked() {
    let world = World::new();
    let comfy = world.comfy();
    realize(&comfy, &spec(), &world.home()).await;
    fs::create_dir_all(world.path("elsewhere")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(
        world.path("elsewhere"),
        world.path("home/custom_nodes/Mine"),
    )
    .unwrap();
    let fewer = spec_of("v1", &[TWO], &[MODEL]);
    realize(&comfy, &fewer, &world.home()).await;
    assert!(!world.exists("home/custom_nodes/One") && world.exists("home/custom_nodes/Two"));
    #[cfg(unix)]
    assert!(world.exists("home/custom_nodes/Mine"));
    assert!(plan(&comfy, &fewer, &world.home()).await.is_empty());
}

#[tokio::test]
async fn what_is_in_the_way_is_named_and_stays() {
    let world = World::new();
    let comfy = world.comfy();
    world.write("home/custom_nodes/One/node.py", "by hand");
    let error = try_realize(&comfy, &spec(), &world.home())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.pointer()),
        (ErrorKind::Exists, Some("/custom_nodes/0/name")),
        "{error:#}"
    );
    assert_eq!(world.read("home/custom_nodes/One/node.py"), "by hand");

    let world = World::new();
    world.write("home/main.py", "somebody's");
    let error = try_realize(&world.comfy(), &spec(), &world.home())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists, "{error:#}");
    assert_eq!(world.listing("home").len(), 1);

    let world = World::new();
    world.write("home/extra_model_paths.yaml", "mine: {}\n");
    let done = realize(&world.comfy(), &spec(), &world.home()).await;
    assert_eq!(world.read("home/extra_model_paths.yaml"), "mine: {}\n");
    assert_eq!(done.warnings.len(), 1, "{done:#?}");
}

#[tokio::test]
async fn an_installer_runs_once_for_a_commit_and_an_environment() {
    let world = World::new();
    let comfy = world.comfy();
    world.python.let_scripts_write("config.json", "{}");
    let done = realize(&comfy, &spec(), &world.home()).await;
    let runs = || {
        let calls = world.python.calls().into_iter();
        calls
            .filter_map(|call| {
                if let FakePythonCall::Run(script, folder, variables) = call {
                    Some((script, folder, variables))
                } else {
                    None
                }
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(runs().len(), 1);
    let (script, folder, variables) = runs().remove(0);
    assert_eq!(folder, world.path("home/custom_nodes/One"));
    assert_eq!(script, folder.join("install.py"));
    let text = |path: &str| world.path(path).display().to_string();
    assert!(
        variables.contains(&("COMFYUI_PATH".into(), text("home"))),
        "{variables:?}"
    );
    assert!(
        variables.contains(&("COMFYUI_MODEL_PATH".into(), text("cache/models"))),
        "{variables:?}"
    );
    assert!(done.warnings.iter().any(|warning| {
        warning.contains("the node One wrote into its checkout") && warning.contains("config.json")
    }));

    world.commit(
        ONE,
        &[
            ("node.py", "newer\n"),
            ("requirements.txt", "numpy\n"),
            ("install.py", "pass\n"),
        ],
    );
    let cancel = CancellationToken::new();
    let lock = comfy
        .resolve(&spec(), Refresh::Yes, &cancel)
        .await
        .unwrap()
        .lock;
    comfy
        .realize(&spec(), &lock, &world.home(), &cancel)
        .await
        .unwrap();
    assert_eq!(runs().len(), 2);
    assert_eq!(world.read("home/custom_nodes/One/node.py"), "newer\n");
    assert_eq!(realize(&comfy, &spec(), &world.home()).await.steps, 0);

    // One that fails says where to read on, and is run again.
    world.commit(ONE, &[("node.py", "newest\n"), ("install.py", "pass\n")]);
    world.python.fail_script(&script, "no compiler");
    let lock = comfy
        .resolve(&spec(), Refresh::Yes, &cancel)
        .await
        .unwrap()
        .lock;
    let error = comfy
        .realize(&spec(), &lock, &world.home(), &cancel)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.pointer()),
        (ErrorKind::Python, Some("/custom_nodes/0")),
        "{error:#}"
    );
    assert!(error.hint().is_some());
    assert!(
        plan(&comfy, &spec(), &world.home())
            .await
            .to_string()
            .contains("install.py")
    );
}

#[tokio::test]
async fn checkouts_are_fetched_beside_each_other() {
    let world = World::new();
    let comfy = world.comfy();
    let lock = lock(&comfy, &spec()).await;
    // No fetch goes on before all three have begun.
    world.git.let_meet(3);
    comfy
        .realize(&spec(), &lock, &world.home(), &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(world.git.peak(), 3);
}

#[tokio::test]
async fn what_failed_is_named_and_a_second_run_goes_on() {
    let world = World::new();
    let comfy = world.comfy();
    let lock = lock(&comfy, &spec()).await;
    for address in [ONE, TWO] {
        world.git.fail(
            &repo(address),
            Some((ErrorKind::Network, "the line is down")),
        );
    }
    world.git.let_meet(3);
    let error = comfy
        .realize(&spec(), &lock, &world.home(), &CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    // The first that fails stops the other, unless that has failed, too.
    let named: Vec<&str> = match error.problems() {
        [] => error.pointer().into_iter().collect(),
        problems => problems
            .iter()
            .map(|problem| problem.pointer.as_str())
            .collect(),
    };
    assert!(
        !named.is_empty()
            && named
                .iter()
                .all(|pointer| ["/custom_nodes/0", "/custom_nodes/1"].contains(pointer)),
        "{error:#}"
    );
    world.git.fail(&repo(ONE), None);
    world.git.fail(&repo(TWO), None);
    assert_eq!(
        realize(&comfy, &spec(), &world.home()).await.outcome,
        Outcome::Complete
    );
}

#[tokio::test]
async fn without_the_network_what_is_there_is_used_and_the_rest_is_told() {
    let world = World::new();
    realize(&world.comfy(), &spec(), &world.home()).await;
    // Another home, and one node and the model are not in the cache.
    let lock = lock(&world.comfy(), &spec()).await;
    let node = &lock.custom_nodes[1].source;
    fs::remove_dir_all(world.cache().node(&node.repo, &node.commit)).unwrap();
    fs::remove_dir_all(world.path("cache/models")).unwrap();
    let calls = world.git.calls().len() + world.net.requests().len();
    let other = version_spec::Home::new(world.path("other"));
    let done = realize(&world.offline(), &spec(), &other).await;
    assert_eq!(done.outcome, Outcome::Partial);
    let pointers: Vec<&str> = done
        .missing
        .iter()
        .map(|missing| missing.pointer.as_str())
        .collect();
    assert_eq!(pointers, ["/custom_nodes/1", "/models/0"], "{done:#?}");
    assert_eq!(world.git.calls().len() + world.net.requests().len(), calls);
    assert!(
        world.exists("other/main.py")
            && world.exists("other/custom_nodes/One")
            && !world.exists("other/custom_nodes/Two")
    );
    // With it, the rest comes.
    assert_eq!(
        realize(&world.comfy(), &spec(), &other).await.outcome,
        Outcome::Complete
    );
    // And a version that was never resolved is refused.
    let error = try_realize(&world.offline(), &spec_of("v9", &[], &[]), &other)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Offline, "{error:#}");
}

#[tokio::test]
async fn a_second_version_fetches_only_what_it_does_not_share() {
    let world = World::new();
    let comfy = world.comfy();
    realize(&comfy, &spec(), &world.home()).await;
    comfy.specs().save(&spec(), Existing::Keep).unwrap();
    let second = spec_of("v2", &[ONE, TWO], &[MODEL]);
    lock(&comfy, &second).await;
    let locked = world
        .python
        .calls()
        .into_iter()
        .filter(|call| matches!(call, FakePythonCall::Lock(_)))
        .count();
    let (fetches, requests) = (world.git.calls().len(), world.net.requests().len());
    let home = version_spec::Home::new(world.path("second"));
    let done = realize(&comfy, &second, &home).await;
    assert_eq!((done.outcome, done.downloaded), (Outcome::Complete, 0));
    assert_eq!(
        (world.git.calls().len(), world.net.requests().len()),
        (fetches, requests)
    );
    let locks = world
        .python
        .calls()
        .into_iter()
        .filter(|call| matches!(call, FakePythonCall::Lock(_)))
        .count();
    assert_eq!(locks, locked);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_do_everything_once() {
    let world = World::new();
    let (spec, home) = (spec(), world.home());
    let (one, other) = (world.comfy(), world.comfy());
    let both = tokio::join!(realize(&one, &spec, &home), realize(&other, &spec, &home));
    assert_eq!(
        (both.0.outcome, both.1.outcome),
        (Outcome::Complete, Outcome::Complete)
    );
    let fetches = world
        .git
        .calls()
        .into_iter()
        .filter(|call| matches!(call, FakeCall::CheckOut(..)))
        .count();
    assert_eq!(fetches, 3);
    assert!(plan(&one, &spec, &home).await.is_empty());
}

#[tokio::test]
async fn parts_can_be_left_alone() {
    let world = World::new();
    let comfy = world
        .builder()
        .with_python_part(Part::Skip)
        .with_models_part(Part::Skip)
        .build();
    realize(&comfy, &spec(), &world.home()).await;
    assert!(world.python.calls().is_empty() && world.net.requests().is_empty());
    let plan = plan(&world.comfy(), &spec(), &world.home()).await;
    assert!(
        plan.steps
            .iter()
            .any(|step| matches!(step.action, Action::FetchModel { .. }))
    );
    assert!(
        plan.steps
            .iter()
            .any(|step| matches!(step.action, Action::SyncPython { .. }))
    );
}

#[tokio::test]
async fn a_node_that_would_replace_torch_is_refused_by_name() {
    let world = World::new();
    world.python.add_package("torch", "2.0", &[]);
    world.commit(
        ONE,
        &[("node.py", "one\n"), ("requirements.txt", "torch<2.1\n")],
    );
    let error = try_realize(&world.comfy(), &spec(), &world.home())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Torch, "{error:#}");
    assert!(error.to_string().contains("One"), "{error}");
}

#[tokio::test]
async fn a_lock_of_another_spec_is_refused() {
    let world = World::new();
    let comfy = world.comfy();
    let lock = lock(&comfy, &spec()).await;
    let other = spec_of("v1", &[ONE], &[]);
    let error = comfy
        .realize(&other, &lock, &world.home(), &CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
}

#[tokio::test]
async fn cancelled_it_goes_on_the_next_time() {
    let world = World::new();
    let comfy = world.comfy();
    let lock = lock(&comfy, &spec()).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = comfy
        .realize(&spec(), &lock, &world.home(), &cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(
        realize(&comfy, &spec(), &world.home()).await.outcome,
        Outcome::Complete
    );
}
