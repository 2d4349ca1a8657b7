//! A disk that is full, slow of writing, or prepared by somebody else.

use std::slice;

use downloader::ErrorKind;
use durable_fs::{Disk, Effect, Observer, Operation, Recorder, Verdict};

use crate::common::{Desk, content, fetcher, target, url};
use crate::partials::memory;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn d54_planted_names_are_removed_and_never_followed() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    let content = b"0123456789";
    let wanted = target(content);
    for ending in ["part", "done", "json"] {
        for plant in ["symlink", "hard link", "fifo", "folder"] {
            std::fs::write(&victim, b"01234").unwrap();
            let mut desk = Desk::new();
            let path = desk.path(wanted, ending);
            match plant {
                "symlink" => std::os::unix::fs::symlink(&victim, &path).unwrap(),
                "hard link" => std::fs::hard_link(&victim, &path).unwrap(),
                "fifo" => rustix::fs::mknodat(
                    rustix::fs::CWD,
                    &path,
                    rustix::fs::FileType::Fifo,
                    0o600.into(),
                    0,
                )
                .unwrap(),
                _ => {
                    std::fs::create_dir(&path).unwrap();
                    std::fs::write(path.join("inner"), b"x").unwrap();
                }
            }
            // Known from the listing, and planted behind the store's back.
            for known in [true, false] {
                if known {
                    desk.reopen();
                }
                let (memory, source) = memory(content);
                if ending == "done" && !known {
                    continue; // replaced by the rename, except a folder, which is an error
                }
                desk.fetch(&fetcher(memory), content, &[source])
                    .await
                    .unwrap();
                assert_eq!(
                    std::fs::read(&victim).unwrap(),
                    b"01234",
                    "{plant} at .{ending}"
                );
            }
        }
    }
}

/// Lets so many bytes of writes through, then the disk is full.
#[derive(Debug)]
struct FullAfter(std::sync::Mutex<usize>);

impl Observer for FullAfter {
    fn before(&self, effect: &Effect<'_>) -> Verdict {
        if effect.operation != Operation::Write {
            return Verdict::Proceed;
        }
        let length = effect.data.len();
        let mut left = self.0.lock().unwrap();
        if *left == 0 {
            return Verdict::Fail(std::io::ErrorKind::StorageFull.into());
        }
        let written = length.min(*left);
        *left -= written;
        Verdict::Short(written)
    }
    fn after(&self, _effect: &Effect<'_>) {}
}

#[tokio::test]
async fn d46_a_full_disk_has_its_own_kind_and_keeps_what_was_written() {
    let content = content(3_000_000);
    let wanted = target(&content);
    for room in [0, 1, 300_000, 2_999_999] {
        let mut desk = Desk::on(&Disk::observed(std::sync::Arc::new(FullAfter(room.into()))));
        let (memory, source) = memory(&content);
        let error = desk
            .fetch(
                &fetcher(memory.clone()),
                &content,
                &[source.clone(), url("memory://b/x")],
            )
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        assert_eq!(memory.requests().len(), 1, "another source cannot help");

        let kept = desk.part(wanted).map_or(0, |part| part.len());
        assert!(kept <= room && kept + 1000 >= room, "{kept} of {room}");
        desk.reopen();
        desk.fetch(&fetcher(memory.clone()), &content, slice::from_ref(&source))
            .await
            .unwrap();
        assert_eq!(memory.offsets(&source)[1], kept as u64);
    }
}

#[tokio::test]
async fn d50_short_writes_are_no_error() {
    #[derive(Debug)]
    struct Short;
    impl Observer for Short {
        fn before(&self, _effect: &Effect<'_>) -> Verdict {
            Verdict::Short(1000)
        }
        fn after(&self, _effect: &Effect<'_>) {}
    }
    let content = content(1_000_000);
    let desk = Desk::on(&Disk::observed(std::sync::Arc::new(Short)));
    let (memory, source) = memory(&content);
    desk.fetch(&fetcher(memory), &content, &[source])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_small_file_costs_three_effects_on_disk() {
    let recorder = std::sync::Arc::new(Recorder::new());
    let desk = Desk::on(&Disk::observed(recorder.clone()));
    let (memory, source) = memory(b"0123456789");
    desk.fetch(&fetcher(memory), b"0123456789", &[source])
        .await
        .unwrap();
    let operations: Vec<_> = recorder
        .effects()
        .into_iter()
        .map(|(operation, ..)| operation)
        .collect();
    assert_eq!(
        operations,
        [Operation::CreateFile, Operation::Write, Operation::Rename]
    );
}
