use crate::{names, root};

#[test]
fn replace_file_creates_replaces_and_leaves_nothing_else() {
    let (folder, root) = root();
    root.create_dir("sub").unwrap();
    for content in [&b"first, long"[..], b"second", b""] {
        root.replace_file("sub/file", content).unwrap();
        assert_eq!(root.read("sub/file", 100).unwrap(), content);
    }
    assert_eq!(names(folder.path().join("sub")), ["file"]);
}

/// Whoever reads while it is replaced sees one content or the other, whole.
#[test]
fn a_reader_never_sees_a_half_replaced_file() {
    let (_folder, root) = root();
    let contents = [vec![b'a'; 100_000], vec![b'b'; 50_000]];
    root.replace_file("file", &contents[0]).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..40 {
                root.replace_file("file", &contents[round % 2]).unwrap();
            }
        });
        while !writer.is_finished() {
            let seen = root.read("file", 1 << 20).unwrap();
            assert!(contents.contains(&seen));
        }
    });
}

#[test]
fn two_threads_may_replace_the_same_file() {
    let (folder, root) = root();
    std::thread::scope(|scope| {
        for content in [b"one", b"two"] {
            let root = &root;
            scope.spawn(move || (0..20).for_each(|_| root.replace_file("file", content).unwrap()));
        }
    });
    assert_eq!(names(folder.path()), ["file"]);
}
