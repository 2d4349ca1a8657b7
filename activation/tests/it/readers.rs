use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use testkit::Tree;

use crate::common::{Root, now, roll_back, version};

fn tree(text: &str) -> Tree {
    Tree::new()
        .with("a", text)
        .with("b", text)
        .with("sub/c", text)
}

#[test]
fn e60_a_reader_sees_the_old_release_or_the_new_one_whole() {
    let root = Root::with(&tree("1.0.0"), "1.0.0");
    root.install(&tree("2.0.0"), "2.0.0");
    let installation = root.installation();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0_u32;
            while !is_over.load(Ordering::Relaxed) || seen == 0 {
                let release = installation.active().unwrap().unwrap();
                for path in ["a", "b", "sub/c"] {
                    let bytes = release.dir().read(path, 64).unwrap();
                    assert_eq!(bytes, release.version().as_str().as_bytes());
                }
                assert_eq!(release.manifest().tool_version(), release.version());
                seen += 1;
            }
        });
        let session = root.session();
        for number in 0..200 {
            let target = if number % 2 == 0 { "1.0.0" } else { "2.0.0" };
            roll_back(&session, &version(target)).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn e60_also_while_releases_come_and_go() {
    let root = Root::with(&tree("0"), "0");
    let installation = root.installation();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                installation.active().unwrap().unwrap();
            }
        });
        for number in 1..30 {
            root.install(&tree(&number.to_string()), &number.to_string());
            root.session().retain(0, now()).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(root.releases(), ["29"]);
}
