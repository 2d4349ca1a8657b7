use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use durable_fs::{Disk, ErrorKind, Operation};

use crate::{Fault, Script, assert_kind, root, root_on};

#[test]
fn append_line_mends_a_torn_line() {
    let (_folder, root) = root();
    root.replace_file("log", b"one\ntor").unwrap();
    root.append_line("log", b"two").unwrap();
    root.append_line("log", b"three").unwrap();
    assert_eq!(root.read("log", 100).unwrap(), b"one\ntor\ntwo\nthree\n");
    root.append_line("new", b"").unwrap();
    assert_eq!(root.read("new", 100).unwrap(), b"\n");
}

#[test]
fn append_line_after_a_failed_one_starts_on_a_line_of_its_own() {
    /// Lets three bytes of the first write through and fails the second.
    #[derive(Debug)]
    struct Torn(std::sync::atomic::AtomicUsize);
    impl durable_fs::Observer for Torn {
        fn before(&self, effect: &durable_fs::Effect<'_>) -> durable_fs::Verdict {
            if effect.operation != Operation::Write {
                return durable_fs::Verdict::Proceed;
            }
            match self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => durable_fs::Verdict::Short(3),
                _ => durable_fs::Verdict::Fail(std::io::ErrorKind::StorageFull.into()),
            }
        }
        fn after(&self, _: &durable_fs::Effect<'_>) {}
    }
    let (folder, plain) = root();
    let failing = Disk::observed(std::sync::Arc::new(Torn(0.into())))
        .open_dir(folder.path())
        .unwrap();
    assert_kind(failing.append_line("log", b"first"), ErrorKind::NoSpace);
    plain.append_line("log", b"second").unwrap();
    assert_eq!(plain.read("log", 100).unwrap(), b"fir\nsecond\n");
}

#[test]
fn a_writer_knows_its_length_and_writes_at_the_end() {
    let (_folder, root) = root();
    let mut writer = root.create_file("file").unwrap();
    writer.write_bytes(b"hello world").unwrap();
    writer.truncate(5).unwrap();
    writer.write_bytes(b"!").unwrap();
    assert_eq!(writer.len(), 6);
    writer.sync().unwrap();
    drop(writer);
    let mut writer = root.append_file("file").unwrap();
    assert_eq!(writer.len(), 6);
    writer.write_all(b"?").unwrap();
    writer.truncate(0).unwrap();
    writer.write_all(b"again").unwrap();
    writer.flush().unwrap();
    assert_eq!(root.read("file", 100).unwrap(), b"again");
}

#[test]
fn reading_through_the_open_file_does_not_move_the_writer() {
    let (_folder, root) = root();
    for name in ["created", "appended"] {
        let mut writer = root.create_file(name).unwrap();
        writer.write_bytes(b"hello").unwrap();
        if name == "appended" {
            drop(writer);
            writer = root.append_file(name).unwrap();
        }
        let mut file = writer.file();
        let mut first = [0; 2];
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_exact(&mut first).unwrap();
        writer.write_bytes(b" world").unwrap();
        assert_eq!(root.read(name, 100).unwrap(), b"hello world");
    }
}

#[test]
fn a_failed_truncation_keeps_the_length() {
    let failing = Script::every(Operation::Truncate, Fault::Errno(5));
    let (_folder, root) = root_on(&Disk::observed(failing));
    let mut writer = root.create_file("file").unwrap();
    writer.write_bytes(b"hello").unwrap();
    assert!(writer.truncate(1).is_err());
    assert_eq!(writer.len(), 5);
    writer.write_bytes(b"!").unwrap();
    assert_eq!(root.read("file", 100).unwrap(), b"hello!");
}
