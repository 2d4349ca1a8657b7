//! What a power cut leaves, in the model.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use durable_fs::{Dir, Executable, LinkPolicy, Placed, Replace};
use tempfile::TempDir;
use testkit::{CrashState, Image, PowerCut, scratch};

/// A folder made by `setup`, and what watches it from then on.
fn watched(setup: impl FnOnce(&Path)) -> (TempDir, Arc<PowerCut>, Dir) {
    let folder = scratch();
    setup(folder.path());
    let power_cut = PowerCut::new(folder.path());
    let root = power_cut.disk().open_dir(folder.path()).unwrap();
    (folder, power_cut, root)
}

/// All states as text: `name=content` for files, `name/` for folders. Each is also written to a disk and
/// read back.
fn states(power_cut: &PowerCut) -> BTreeSet<String> {
    power_cut.assert_matches_disk();
    let states = power_cut.crash_states();
    assert!(!states.is_empty());
    states
        .iter()
        .map(|state| {
            let folder = scratch();
            state.write_to(folder.path());
            let image = Image::read(folder.path());
            assert_eq!(image, *state.image(), "{}", state.description());
            let item = |path: &Path| {
                image.bytes(path).map_or_else(
                    || format!("{}/", path.display()),
                    |bytes| format!("{}={}", path.display(), bytes.escape_ascii()),
                )
            };
            image.paths().map(item).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

fn set<const N: usize>(states: [&str; N]) -> BTreeSet<String> {
    states.map(str::to_owned).into()
}

#[test]
fn nothing_done_leaves_what_was_there() {
    let (_folder, power_cut, _root) = watched(|root| {
        fs::create_dir(root.join("a")).unwrap();
        fs::write(root.join("a/b"), "x").unwrap();
    });
    assert_eq!(states(&power_cut), set(["a/ a/b=x"]));
}

#[test]
fn a_written_file_may_be_gone_empty_zeros_half_or_there() {
    let (_folder, power_cut, root) = watched(|_| {});
    let mut file = root.create_file("f").unwrap();
    assert_eq!(states(&power_cut), set(["", "f="]));
    file.write_bytes(b"ab").unwrap();
    let not_synced = ["", "f=", "f=\\x00\\x00", "f=a", "f=ab"];
    assert_eq!(states(&power_cut), set(not_synced));
    file.sync().unwrap();
    assert_eq!(states(&power_cut), set(["", "f=ab"]));
    root.sync().unwrap();
    assert_eq!(states(&power_cut), set(["f=ab"]));
}

#[test]
fn a_synced_folder_does_not_make_contents_durable() {
    let (_folder, power_cut, root) = watched(|_| {});
    root.create_file("f").unwrap().write_bytes(b"ab").unwrap();
    root.sync().unwrap();
    let contents_lost = ["f=", "f=\\x00\\x00", "f=a", "f=ab"];
    assert_eq!(states(&power_cut), set(contents_lost));
}

#[test]
fn what_was_synced_stays_when_more_is_appended() {
    let (_folder, power_cut, root) = watched(|root| fs::write(root.join("f"), "old").unwrap());
    root.append_file("f").unwrap().write_bytes(b"ne").unwrap();
    let states = states(&power_cut);
    assert_eq!(
        states,
        set(["f=old", "f=old\\x00\\x00", "f=oldn", "f=oldne"])
    );
}

#[test]
fn what_was_truncated_and_written_again_is_not_what_was_synced() {
    let (_folder, power_cut, root) = watched(|root| fs::write(root.join("f"), "old").unwrap());
    let mut file = root.append_file("f").unwrap();
    file.truncate(1).unwrap();
    assert_eq!(states(&power_cut), set(["f=old", "f=o"]));
    file.write_bytes(b"ld").unwrap();
    // The same bytes are not the same blocks.
    assert_eq!(states(&power_cut), set(["f=old", "f=o\\x00\\x00", "f=ol"]));
    file.sync().unwrap();
    assert_eq!(states(&power_cut), set(["f=old"]));
}

#[test]
fn rename_without_a_sync_of_the_file_may_leave_it_empty() {
    let (_folder, power_cut, root) = watched(|root| fs::write(root.join("f"), "old").unwrap());
    root.create_file("t").unwrap().write_bytes(b"new").unwrap();
    root.rename("t", &root, "f", Replace::Allow).unwrap();
    root.sync().unwrap();
    let states = states(&power_cut);
    assert!(states.contains("f="), "{states:?}");
    assert!(!states.contains("f=old"), "{states:?}");
}

#[test]
fn rename_without_a_sync_of_the_folder_may_be_lost() {
    let (_folder, power_cut, root) = watched(|root| fs::write(root.join("f"), "old").unwrap());
    let mut file = root.create_file("t").unwrap();
    file.write_bytes(b"new").unwrap();
    file.sync().unwrap();
    root.rename("t", &root, "f", Replace::Allow).unwrap();
    assert_eq!(states(&power_cut), set(["f=old", "f=old t=new", "f=new"]));
    root.sync().unwrap();
    assert_eq!(states(&power_cut), set(["f=new"]));
}

#[test]
fn a_rename_between_folders_needs_both_synced() {
    let (_folder, power_cut, root) = watched(|root| {
        fs::create_dir(root.join("a")).unwrap();
        fs::create_dir(root.join("b")).unwrap();
        fs::write(root.join("a/f"), "x").unwrap();
    });
    let (a, b) = (root.open_dir("a").unwrap(), root.open_dir("b").unwrap());
    a.rename("f", &b, "f", Replace::Refuse).unwrap();
    let either = set(["a/ a/f=x b/", "a/ b/ b/f=x"]);
    assert_eq!(states(&power_cut), either);
    b.sync().unwrap();
    assert_eq!(states(&power_cut), either);
    a.sync().unwrap();
    assert_eq!(states(&power_cut), set(["a/ b/ b/f=x"]));
}

#[test]
fn a_hard_link_shares_what_is_not_synced() {
    let (_folder, power_cut, root) = watched(|_| {});
    let mut file = root.create_file("one").unwrap();
    file.write_bytes(b"ab").unwrap();
    root.hard_link("one", &root, "two").unwrap();
    root.sync().unwrap();
    let both = |content: &str| format!("one={content} two={content}");
    let contents = ["", "\\x00\\x00", "a", "ab"];
    assert_eq!(states(&power_cut), contents.map(both).into());
    // Still one file: a sync through either name is a sync of both.
    file.sync().unwrap();
    assert_eq!(states(&power_cut), set(["one=ab two=ab"]));
    root.set_executable("two", Executable::Yes).unwrap();
    for state in power_cut.crash_states() {
        let folder = scratch();
        state.write_to(folder.path());
        let of = |name: &str| fs::metadata(folder.path().join(name)).unwrap();
        let (one, two) = (of("one"), of("two"));
        assert_eq!(one.permissions(), two.permissions());
        assert_eq!(inode(&one), inode(&two));
    }
}

fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[test]
fn a_mode_is_durable_with_its_file() {
    let (_folder, power_cut, root) = watched(|root| fs::write(root.join("f"), "x").unwrap());
    root.set_executable("f", Executable::Yes).unwrap();
    assert_eq!(power_cut.crash_states().len(), 2);
    root.sync().unwrap();
    assert_eq!(power_cut.crash_states().len(), 2);
    root.append_file("f").unwrap().sync().unwrap();
    let states = power_cut.crash_states();
    assert_eq!(states.len(), 1);
    let folder = scratch();
    states[0].write_to(folder.path());
    let root = durable_fs::Disk::real().open_dir(folder.path()).unwrap();
    assert!(root.metadata("f").unwrap().unwrap().executable);
}

#[test]
fn an_exchange_happens_or_not() {
    let (_folder, power_cut, root) = watched(|root| {
        fs::write(root.join("a"), "1").unwrap();
        fs::create_dir(root.join("b")).unwrap();
        fs::write(root.join("b/c"), "2").unwrap();
    });
    root.exchange("a", &root, "b").unwrap();
    assert_eq!(states(&power_cut), set(["a=1 b/ b/c=2", "a/ a/c=2 b=1"]));
    root.sync().unwrap();
    assert_eq!(states(&power_cut), set(["a/ a/c=2 b=1"]));
}

#[test]
fn a_file_in_a_new_folder_vanishes_with_the_folder() {
    let (_folder, power_cut, root) = watched(|_| {});
    root.create_dir("d").unwrap();
    let dir = root.open_dir("d").unwrap();
    let mut file = dir.create_file("f").unwrap();
    file.write_bytes(b"x").unwrap();
    file.sync().unwrap();
    dir.sync().unwrap();
    // Everything was synced but the folder that holds the new one.
    assert_eq!(states(&power_cut), set(["", "d/ d/f=x"]));
    root.sync().unwrap();
    assert_eq!(states(&power_cut), set(["d/ d/f=x"]));
}

#[test]
fn a_sync_of_the_file_system_keeps_everything() {
    let (_folder, power_cut, root) = watched(|_| {});
    root.create_dir_all("d/e").unwrap();
    root.create_file("d/e/f")
        .unwrap()
        .write_bytes(b"x")
        .unwrap();
    root.create_symlink("f", "d/e/link").unwrap();
    root.set_executable("d/e/f", Executable::Yes).unwrap();
    assert!(states(&power_cut).len() > 5);
    root.open_dir("d").unwrap().sync_tree().unwrap();
    assert_eq!(power_cut.crash_states().len(), 1);
    let image = power_cut.crash_states().remove(0).image().clone();
    assert_eq!(image.paths().count(), 4);
    assert_eq!(image.bytes("d/e/f"), Some(&b"x"[..]));
}

#[test]
fn a_removed_file_comes_back_with_the_content_that_it_had() {
    let (_folder, power_cut, root) = watched(|root| fs::write(root.join("f"), "old").unwrap());
    root.append_file("f").unwrap().write_bytes(b"+").unwrap();
    root.remove_file("f").unwrap();
    root.create_file("f").unwrap(); // perhaps with the same inode number
    let states = states(&power_cut);
    // The new file cannot be there while the old one is.
    assert_eq!(states, set(["", "f=", "f=old", "f=old\\x00", "f=old+"]));
}

#[test]
fn a_removed_tree_is_not_removed_from_the_top() {
    let (_folder, power_cut, root) = watched(|root| {
        fs::create_dir_all(root.join("d/e")).unwrap();
        fs::write(root.join("d/e/f"), "x").unwrap();
    });
    root.remove_tree("d").unwrap();
    let before = states(&power_cut);
    assert!(
        before.contains("d/ d/e/ d/e/f=x") && before.contains(""),
        "{before:?}"
    );
    // A folder whose removal is durable was durably emptied before.
    root.sync().unwrap();
    assert_eq!(states(&power_cut), set([""]));
}

#[test]
fn changes_reach_the_disk_in_any_order() {
    let (_folder, power_cut, root) = watched(|_| {});
    for name in ["a", "b", "c"] {
        root.create_dir(name).unwrap();
    }
    assert_eq!(states(&power_cut).len(), 8, "every subset");
    for name in ["d", "e", "f", "g"] {
        root.create_dir(name).unwrap();
    }
    let states = states(&power_cut);
    // None, all, six prefixes, seven with one lost and seven with one kept; two of them are twice the same.
    assert_eq!(states.len(), 1 + 1 + 6 + 7 + 7 - 2);
    assert!(states.contains("g/") && states.contains("a/ b/ c/ e/ f/ g/"));
}

#[test]
fn a_choice_is_reported_repeatable_and_has_the_extremes() {
    let (_folder, power_cut, root) = watched(|_| {});
    for name in 0..30 {
        root.create_file(name.to_string()).unwrap();
    }
    root.create_file("x").unwrap().write_bytes(b"xx").unwrap();
    let cut = power_cut.cut();
    let chosen = cut.states(20, 1);
    assert_eq!(chosen.possible, 4 * (2 + 30 + 31 + 31));
    assert!(chosen.states.len() <= 20);
    let digests = |seed| -> Vec<_> {
        let states = cut.states(20, seed).states;
        states.iter().map(CrashState::digest).collect()
    };
    assert_eq!(digests(1), digests(1));
    assert_ne!(digests(1), digests(2));
    let sizes: Vec<_> = chosen
        .states
        .iter()
        .map(|state| state.image().paths().count())
        .collect();
    assert!(sizes.contains(&0) && sizes.contains(&31), "{sizes:?}");
}

#[test]
fn a_clone_or_copy_is_as_durable_as_a_written_file() {
    let (_folder, power_cut, root) = watched(|root| fs::write(root.join("a"), "xy").unwrap());
    let placed = root
        .place("a", &root, "b", LinkPolicy::Independent)
        .unwrap();
    assert_ne!(placed, Placed::Linked);
    root.sync().unwrap();
    let states = states(&power_cut);
    assert!(
        states.contains("a=xy b=") && states.contains("a=xy b=xy"),
        "{states:?}"
    );
}

#[test]
fn a_writer_whose_file_was_renamed_is_followed() {
    let (_folder, power_cut, root) = watched(|_| {});
    let mut file = root.create_file("t").unwrap();
    root.rename("t", &root, "f", Replace::Refuse).unwrap();
    root.sync().unwrap();
    file.write_bytes(b"x").unwrap();
    assert_eq!(states(&power_cut), set(["f=", "f=\\x00", "f=x"]));
    file.sync().unwrap();
    assert_eq!(states(&power_cut), set(["f=x"]));
}

#[test]
fn a_folder_that_was_renamed_while_it_was_open_is_followed() {
    let (_folder, power_cut, root) = watched(|root| fs::create_dir(root.join("a")).unwrap());
    let open = root.open_dir("a").unwrap();
    root.rename("a", &root, "b", Replace::Refuse).unwrap();
    root.sync().unwrap();
    open.create_dir("c").unwrap();
    assert_eq!(states(&power_cut), set(["b/", "b/ b/c/"]));
    open.sync().unwrap();
    assert_eq!(states(&power_cut), set(["b/ b/c/"]));
}

#[test]
#[should_panic(expected = "was a folder renamed while it was open")]
fn a_path_that_now_is_another_folder_is_refused() {
    let (_folder, _power_cut, root) = watched(|root| {
        fs::create_dir(root.join("a")).unwrap();
        fs::create_dir(root.join("b")).unwrap();
    });
    let open = root.open_dir("a").unwrap();
    root.exchange("a", &root, "b").unwrap();
    let _ = open.create_dir("c"); // in what now is b
}

#[test]
#[should_panic(expected = "nothing known has the path")]
fn effects_outside_are_refused() {
    let (folder, _power_cut, root) = watched(|_| {});
    let elsewhere = scratch();
    assert_ne!(folder.path(), elsewhere.path());
    let outside = root.disk().open_dir(elsewhere.path()).unwrap();
    let _ = outside.create_dir("d");
}

#[test]
#[should_panic(expected = "without an effect")]
fn changes_without_an_effect_are_noticed() {
    let (folder, power_cut, _root) = watched(|root| fs::write(root.join("f"), "x").unwrap());
    fs::write(folder.path().join("f"), "y").unwrap();
    power_cut.assert_matches_disk();
}

#[test]
fn a_lock_is_lost_unless_its_folder_is_synced() {
    let (_folder, power_cut, root) = watched(|_| {});
    let lock = root.try_lock("lock").unwrap().unwrap();
    assert_eq!(states(&power_cut), set([""]));
    root.sync().unwrap();
    assert_eq!(states(&power_cut), set(["lock="]));
    drop(lock);
    root.remove_file("lock").unwrap();
    assert_eq!(states(&power_cut), set(["", "lock="]));
}

#[test]
fn a_failed_effect_changes_nothing() {
    let (_folder, power_cut, root) = watched(|root| fs::create_dir(root.join("d")).unwrap());
    root.create_dir("d").unwrap_err();
    root.remove_file("nothing").unwrap_err();
    assert_eq!(states(&power_cut), set(["d/"]));
}

#[test]
fn many_threads_are_followed() {
    let (_folder, power_cut, root) = watched(|_| {});
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let root = &root;
            scope.spawn(move || {
                let dir = root.create_dir_all(format!("shared/{thread}")).unwrap();
                for _ in 0..20 {
                    dir.replace_file("f", b"new").unwrap();
                    root.sync().unwrap();
                }
                root.open_dir("shared").unwrap().sync().unwrap();
                root.sync_tree().unwrap();
            });
        }
    });
    power_cut.assert_matches_disk();
    root.sync_tree().unwrap();
    assert_eq!(power_cut.crash_states().len(), 1);
}
