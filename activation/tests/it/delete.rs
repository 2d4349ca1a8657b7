use std::fs;

use activation::{Event, PrunePlan};
use manifest_core::{DeletePolicy, Manifest};
use testkit::Tree;

use crate::common::{Root, TOOL, inode, now, symlink, update, version};

fn manifest(tree: &Tree, version: &str, policy: DeletePolicy) -> Manifest {
    tree.builder(TOOL, version)
        .with_delete_policy(policy)
        .build()
        .unwrap()
}

fn first() -> Tree {
    Tree::new()
        .with("keep", "keep")
        .with("old/a", "a")
        .with("old/b", "b")
        .with("run.log.d/x", "x")
}

fn second() -> Tree {
    Tree::new().with("keep", "keep")
}

/// The first release with files of the user's, updated to the second under a policy.
fn updated(policy: DeletePolicy) -> (Root, activation::Activation) {
    let root = Root::with(&first(), "1.0.0");
    root.write("releases/v1.0.0/mine", "mine");
    root.write("releases/v1.0.0/own/deep/file", "mine");
    root.write("releases/v1.0.0/cache/entry", "cached");
    root.write("releases/v1.0.0/old/debug.log", "log");
    fs::create_dir_all(root.at("releases/v1.0.0/hollow")).unwrap();
    fs::create_dir_all(root.at("releases/v1.0.0/cache/hollow")).unwrap();
    symlink("/nowhere", root.at("releases/v1.0.0/link")).unwrap();
    let manifest = manifest(&second(), "2.0.0", policy);
    let done = update(&root.session(), &second(), &manifest).unwrap();
    (root, done)
}

#[test]
fn a19_safe_deletes_what_the_old_release_listed_and_nothing_else() {
    let (root, done) = updated(DeletePolicy::Safe);
    assert_eq!(done.carried.deleted, ["old/a", "old/b", "run.log.d/x"]);
    let expected = second()
        .with("mine", "mine")
        .with("own/deep/file", "mine")
        .with("cache/entry", "cached")
        .with("old/debug.log", "log");
    assert_eq!(
        Tree::read(&root.at("releases/v2.0.0")).without("manifest.json"),
        expected
    );
    assert!(root.exists("releases/v2.0.0/link") && root.exists("releases/v2.0.0/hollow"));
    assert_eq!(root.session().prune_active(now()).unwrap(), [""; 0]);
}

#[test]
fn aggressive_deletes_all_that_is_neither_listed_nor_ignored_and_keeps_the_users_in_kept() {
    let (root, done) = updated(DeletePolicy::Aggressive);
    let deleted = [
        "link",
        "mine",
        "old/a",
        "old/b",
        "own/deep/file",
        "run.log.d/x",
    ];
    assert_eq!(done.carried.deleted, deleted);
    let expected = second()
        .with("cache/entry", "cached")
        .with("old/debug.log", "log");
    assert_eq!(
        Tree::read(&root.at("releases/v2.0.0")).without("manifest.json"),
        expected
    );
    assert!(!root.exists("releases/v2.0.0/hollow"));
    assert!(root.exists("releases/v2.0.0/cache/hollow"));

    // What appears later is pruned on request.
    root.write("releases/v2.0.0/junk/x", "x");
    root.write("releases/v2.0.0/y.log", "y");
    let plan = root.installation().plan_prune(0).unwrap();
    assert_eq!(plan.releases, [version("1.0.0")]);
    assert_eq!(plan.deletions, ["junk/x"]);
    assert_eq!(
        plan.kept,
        [
            "releases/v1.0.0/link",
            "releases/v1.0.0/mine",
            "releases/v1.0.0/own/deep/file",
        ]
    );
    assert!(root.exists("releases/v2.0.0/junk/x") && root.kept().is_empty());
    assert_eq!(root.installation().plan_prune(1).unwrap().releases, []);
    assert_eq!(root.session().prune_active(now()).unwrap(), ["junk/x"]);
    assert!(!root.exists("releases/v2.0.0/junk"));
    assert!(root.exists("releases/v2.0.0/y.log"));
    let history = root.installation().history().unwrap();
    assert_eq!(history.last().unwrap().event, Event::Pruned);

    root.session().retain(0, now()).unwrap();
    assert_eq!(root.kept(), ["v1.0.0/mine", "v1.0.0/own/deep/file"]);
}

#[test]
fn what_pruning_would_keep_does_not_count_on_what_it_would_delete() {
    let (root, _) = updated(DeletePolicy::Aggressive);
    for release in ["v1.0.0", "v2.0.0"] {
        root.write(&format!("releases/{release}/notes/x"), "x");
        root.write(&format!("releases/{release}/cache/entry"), "cached"); // ignored, so it stays
    }
    let plan = root.installation().plan_prune(0).unwrap();
    assert_eq!(plan.deletions, ["notes/x"]);
    let planned = plan.kept.iter().map(|path| path.strip_prefix("releases/"));
    let mut planned: Vec<&str> = planned.collect::<Option<_>>().unwrap();
    assert!(planned.contains(&"v1.0.0/notes/x"), "{planned:?}");

    root.session().prune_active(now()).unwrap();
    root.session().retain(0, now()).unwrap();
    planned.retain(|path| *path != "v1.0.0/link"); // which is not among what `kept` lists
    assert_eq!(root.kept(), planned);
}

#[test]
fn manual_deletes_nothing_until_it_is_confirmed() {
    let (root, done) = updated(DeletePolicy::Manual);
    let pending = ["old/a", "old/b", "run.log.d/x"];
    assert_eq!(done.carried.pending, pending);
    assert!(done.carried.deleted.is_empty());
    assert_eq!(root.session().pending_deletions().unwrap(), pending);
    assert_eq!(
        inode(root.at("releases/v1.0.0/old/a")),
        inode(root.at("releases/v2.0.0/old/a")),
        "a release's own file is shared until it is deleted"
    );

    // A second update keeps them waiting, and deleting the releases before keeps nothing twice.
    let third = second().with("more", "more");
    update(
        &root.session(),
        &third,
        &manifest(&third, "3.0.0", DeletePolicy::Manual),
    )
    .unwrap();
    assert_eq!(root.session().pending_deletions().unwrap(), pending);
    update(
        &root.session(),
        &third,
        &manifest(&third, "4.0.0", DeletePolicy::Manual),
    )
    .unwrap();
    root.session().retain(0, now()).unwrap();
    assert_eq!(root.kept(), [""; 0]);

    // An edited file is the user's by now.
    fs::remove_file(root.at("releases/v4.0.0/old/b")).unwrap();
    root.write("releases/v4.0.0/old/b", "edited");
    let session = root.session();
    assert_eq!(
        session.prune_active(now()).unwrap(),
        ["old/a", "run.log.d/x"]
    );
    assert!(!root.exists("releases/v4.0.0/old/a"));
    assert!(!root.exists("releases/v4.0.0/run.log.d"));
    assert_eq!(root.read("releases/v4.0.0/old/b"), "edited");
    assert_eq!(root.read("releases/v4.0.0/mine"), "mine");
    assert_eq!(session.pending_deletions().unwrap(), [""; 0]);
    assert_eq!(session.prune_active(now()).unwrap(), [""; 0]);
    drop(session);

    // From then on it goes along as any other file of the user's.
    let done = root.install(&third, "5.0.0");
    assert!(done.carried.carried.contains(&"old/b".to_owned()));
}

#[test]
fn an_update_that_was_given_up_does_not_forget_what_waits() {
    let (root, _) = updated(DeletePolicy::Manual);
    let session = root.session();
    let active = root.active();
    let target = manifest(&second(), "3.0.0", DeletePolicy::Manual);
    let staging = session.stage(&target, &()).unwrap();
    let plan = session.installation().plan_carry(&active, &target).unwrap();
    // Incomplete, but only after the list of the next release was written.
    staging.seal(Some((&active, plan))).unwrap_err();
    assert_eq!(session.pending_deletions().unwrap().len(), 3);
}

#[test]
fn an_ignored_file_is_not_deleted_even_if_the_old_release_listed_it() {
    let tree = Tree::new().with("a", "a").with("x.pyc", "listed");
    let root = Root::with(&tree, "1.0.0");
    let next = Tree::new().with("a", "a");
    for (version, policy) in [
        ("2.0.0", DeletePolicy::Safe),
        ("3.0.0", DeletePolicy::Aggressive),
    ] {
        update(&root.session(), &next, &manifest(&next, version, policy)).unwrap();
        assert_eq!(root.read(&format!("releases/v{version}/x.pyc")), "listed");
    }
}

#[test]
fn pruning_needs_an_active_release() {
    let root = Root::new();
    let installation = root.installation();
    assert_eq!(installation.plan_prune(0).unwrap(), PrunePlan::default());
    assert_eq!(root.session().prune_active(now()).unwrap(), [""; 0]);
    assert_eq!(root.session().pending_deletions().unwrap(), [""; 0]);
    assert!(root.session().retain(0, now()).unwrap().is_empty());
}
