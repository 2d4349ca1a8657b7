//! Row 74, for who downloads: archives that lie, and what is said about them.

use std::sync::Arc;

use downloader::{
    Downloader as _, ErrorKind, FileDownloader, MemoryDownloader, Request, ZipDownloader, ZipLimits,
};
use testkit::{ZipEntry, ZipHeader, zip, zip64};
use url::Url;

use crate::common::{Desk, content, fetcher, url};
use crate::zip_reads::{ARCHIVE, at, lines, open, opened, read};

type Change = fn(&mut ZipHeader);

/// What opening this archive is refused with.
async fn refusal(archive: impl Into<bytes::Bytes>) -> String {
    let error = open(archive).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Archive, "{error}");
    assert!(!error.is_temporary());
    let text = error.to_string();
    assert!(text.starts_with(ARCHIVE), "{text}");
    text
}

/// What taking out this entry is refused with; the archive itself opens.
async fn entry_refusal(entry: ZipEntry, kind: ErrorKind) -> String {
    let before = ZipEntry::stored("before", "x");
    let zip = open(zip(&[before, entry, ZipEntry::stored("behind", "y")]))
        .await
        .unwrap();
    let error = read(&zip, "a").await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().starts_with("zip://hq/"), "{error}");
    for path in ["before", "behind"] {
        assert_eq!(
            read(&zip, path).await.unwrap().len(),
            1,
            "others are not harmed"
        );
    }
    error.to_string()
}

#[tokio::test]
async fn f74_names_that_lead_elsewhere_are_refused() {
    for name in [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a/./b",
        "a//b",
        "..\\x",
        "a\\b",
        "C:x",
        "C:/x",
        "//server/x",
        "a\0b",
        "NUL.txt",
        ".lockstep/lock",
        "manifest.json/x",
        "Manifest.json",
        "",
    ] {
        for entry in [ZipEntry::stored(name, "x"), ZipEntry::deflated(name, "x")] {
            let text = refusal(zip(&[ZipEntry::stored("good", "x"), entry])).await;
            assert!(text.contains("not safe"), "{name}: {text}");
        }
    }
    let text = refusal(zip(&[ZipEntry::stored(b"caf\xe9", "x")])).await;
    assert!(text.contains("UTF-8"), "{text}");
    let text = refusal(zip(&[ZipEntry::stored("x".repeat(5000), "x")])).await;
    assert!(text.len() < 500, "{text}");
}

#[tokio::test]
async fn f74_folders_that_lead_elsewhere_are_refused() {
    for name in ["../x/", "/", "//", "a/../", "manifest.json/", "NUL/"] {
        let entries = [ZipEntry::stored("good", "x"), ZipEntry::stored(name, "")];
        let text = refusal(zip(&entries)).await;
        assert!(text.contains("not safe"), "{name}: {text}");
    }
    let link = ZipEntry::stored("a/", "").with_central(|header| header.mode = 0o120_777);
    assert!(refusal(zip(&[link])).await.contains("symbolic link"));
}

#[tokio::test]
async fn f74_a_file_below_a_file_is_refused() {
    let entries = ["A/b", "x", "a/B/c"].map(|name| ZipEntry::stored(name, name));
    let text = refusal(zip(&entries)).await;
    assert!(text.contains("lies below another one"), "{text}");
}

#[tokio::test]
async fn f74_bytes_that_no_entry_has_are_refused() {
    // A reader that starts at the front would find "hidden".
    let entries = [ZipEntry::stored("hidden", "x"), ZipEntry::stored("a", "y")];
    let hide = |name: &str, entries: &[ZipEntry]| {
        let mut archive = zip(entries);
        let directory = find(&archive, b"PK\x01\x02");
        let header = 46 + name.len();
        let start = directory + find(&archive[directory..], name.as_bytes()) - 46;
        archive.drain(start..start + header);
        let end = archive.len() - 22;
        for at in [8, 10] {
            archive[end + at] -= 1;
        }
        archive[end + 12] -= header as u8;
        archive
    };
    let text = refusal(hide("hidden", &entries)).await;
    assert!(text.contains("begins with 37 bytes"), "{text}");
    let [hidden, a] = entries;
    let behind = hide("hidden", &[a, hidden]);
    let error = read(&open(behind).await.unwrap(), "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Archive);
    assert!(error.to_string().contains("followed by 37"), "{error}");
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    let mut windows = bytes.windows(what.len());
    windows.position(|window| window == what).unwrap()
}

#[tokio::test]
async fn f74_another_name_in_an_extra_field_is_refused() {
    let same: Change = |header| header.extra = b"up\x06\0\x01\0\0\0\0a".to_vec();
    let other: Change = |header| header.extra = b"up\x06\0\x01\0\0\0\0b".to_vec();
    let entry = || ZipEntry::stored("a", "0123456789");
    let text = refusal(zip(&[entry().with_central(other)])).await;
    assert!(text.contains("another name"), "{text}");
    let text = entry_refusal(entry().with_local(other), ErrorKind::Archive).await;
    assert!(text.contains("another name"), "{text}");
    let zip = open(zip(&[entry().with_central(same).with_local(same)])).await;
    assert_eq!(read(&zip.unwrap(), "a").await.unwrap(), b"0123456789");
}

#[tokio::test]
async fn f74_two_entries_of_one_name_are_refused() {
    for (one, other) in [
        ("a", "a"),
        ("A/b", "a/B"),
        ("caf\u{e9}", "cafe\u{301}"),
        ("stra\u{df}e", "STRASSE"),
        ("manifest.json", "manifest.json"),
    ] {
        let entries = [one, other].map(|name| ZipEntry::stored(name, name));
        let text = refusal(zip(&entries)).await;
        assert!(text.contains("is there twice"), "{text}");
    }
}

#[tokio::test]
async fn f74_what_is_not_read_is_named() {
    let cases: &[(Change, &str)] = &[
        (|header| header.flags |= 1, "encrypted"),
        (|header| header.flags |= 1 << 6, "encrypted"),
        (|header| header.flags |= 1 << 13, "encrypted"),
        (|header| header.flags |= 1 << 5, "patch"),
        (|header| header.method = 9, "Deflate64 (method 9)"),
        (|header| header.method = 12, "bzip2 (method 12)"),
        (|header| header.method = 93, "Zstandard (method 93)"),
        (|header| header.method = 99, "AES encryption"),
        (|header| header.method = 1234, "method 1234"),
        (|header| header.mode = 0o120_777, "symbolic link"),
        (
            |header| header.mode = 0o010_644,
            "neither a file nor a folder",
        ),
        (|header| header.mode = 0o040_755, "marked as a folder"),
        (|header| header.disk = 1, "another part"),
        (|header| header.size += 1, "two sizes, 11 and 10"),
        (|header| header.extra = vec![9, 9, 9, 0, 1], "extra field"),
    ];
    for (change, wanted) in cases {
        let text = refusal(zip(&[
            ZipEntry::stored("a", "0123456789").with_central(*change)
        ]))
        .await;
        assert!(text.contains("\"a\"") && text.contains(wanted), "{text}");
    }
    let text = refusal(zip(&[ZipEntry::stored("a/", "bytes")])).await;
    assert!(text.contains("folder and has bytes"), "{text}");
}

#[tokio::test]
async fn f74_inconsistent_zip64_fields_are_refused() {
    let cases: &[(Change, &str)] = &[
        (|header| header.extra.clear(), "not there"),
        (
            |header| header.extra.extend(header.extra.clone()),
            "two extra fields of one kind",
        ),
        (|header| header.size = 10, "nothing refers to"),
        (
            |header| {
                header.extra.truncate(20);
                header.extra[2] = 16;
            },
            "cut short",
        ),
        (|header| header.extra[4 + 8 + 7] = 0xFF, "two sizes"),
        (
            |header| header.extra[4 + 16 + 7] = 0xFF,
            "beyond the archive",
        ),
        (|header| header.extra[4 + 16] = 0xFF, "beyond the archive"),
    ];
    for (change, wanted) in cases {
        let entry = ZipEntry::stored("a", "0123456789").with_zip64();
        let text = refusal(zip(&[entry.with_central(*change)])).await;
        assert!(text.contains(wanted), "{text}");
    }
}

#[tokio::test]
async fn f74_entries_that_share_bytes_are_refused() {
    // The whole of the second lies in the first; both are the same bytes; the second begins in the first one's header.
    let cases: [Change; 3] = [
        |header| header.offset = 5,
        |header| header.offset = 0,
        |header| header.offset = 30,
    ];
    for change in cases {
        let first = ZipEntry::stored("first", content(1000));
        let second = ZipEntry::stored("second", "x").with_central(change);
        let text = refusal(zip(&[first, second])).await;
        assert!(text.contains("begins within another one"), "{text}");
    }
    // A kernel that many entries quote: each header is a piece of the one before.
    let kernel = lines(1000);
    let quoted: Vec<_> = (0..3)
        .map(|_| ZipEntry::deflated("kernel", &kernel))
        .enumerate()
        .map(|(number, entry)| {
            let name: Change = match number {
                0 => |header| header.name = b"a".to_vec(),
                1 => |header| (header.name, header.offset) = (b"b".to_vec(), 1),
                _ => |header| (header.name, header.offset) = (b"c".to_vec(), 2),
            };
            entry.with_central(name)
        })
        .collect();
    assert!(
        refusal(zip(&quoted))
            .await
            .contains("begins within another one")
    );
}

#[tokio::test]
async fn f74_an_entry_outside_the_archive_is_refused() {
    let cases: [Change; 3] = [
        |header| header.offset = 1_000_000,
        |header| header.offset = u32::MAX - 1,
        |header| (header.compressed, header.size) = (1_000_000, 1_000_000),
    ];
    for change in cases {
        let text = refusal(zip(&[ZipEntry::stored("a", "x").with_central(change)])).await;
        assert!(text.contains("beyond the archive"), "{text}");
    }
}

#[tokio::test]
async fn f74_a_bomb_that_says_so_is_refused_by_the_size_that_is_wanted() {
    let bomb = ZipEntry::deflated("a", vec![0; 3_000_000]);
    let archive = zip(&[bomb]);
    assert!(archive.len() < 10_000);
    let zip = open(archive).await.unwrap();
    let before = zip.bytes_read();
    let request = Request::new(at(&zip, "a")).with_expected_size(Some(1000));
    let error = zip.open(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(zip.bytes_read(), before, "nothing of it was even read");
}

#[tokio::test]
async fn f74_a_bomb_that_hides_its_size_is_cut_off() {
    let bomb = ZipEntry::deflated("a", vec![0; 3_000_000]);
    for size in [1_u32, 1000, 300_000] {
        let change: Change = match size {
            1 => |header| header.size = 1,
            1000 => |header| header.size = 1000,
            _ => |header| header.size = 300_000,
        };
        let bomb = bomb.clone().with_central(change).with_local(change);
        let text = entry_refusal(bomb, ErrorKind::Limit).await;
        assert!(
            text.contains(&format!("more than the {size} bytes")),
            "{text}"
        );
    }
    // More than deflate can hold is a lie without looking.
    let change: Change = |header| header.size = 1_000_000_000;
    let text = refusal(zip(&[bomb.with_central(change)])).await;
    assert!(text.contains("can yield"), "{text}");
}

#[tokio::test]
async fn f74_limits_hold_before_the_directory_is_read() {
    let entries: Vec<_> = (0..100)
        .map(|number| ZipEntry::stored(format!("file-{number}"), "0123456789"))
        .collect();
    let archive = zip(&entries);
    let limits = ZipLimits::default;
    for (limits, wanted) in [
        (limits().with_max_entries(99), "100 entries"),
        (limits().with_max_directory_bytes(5000), "directory has"),
        (limits().with_max_total_size(999), "more than the 999 bytes"),
    ] {
        let error = opened(archive.clone(), limits).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let exact = limits().with_max_entries(100).with_max_total_size(1000);
    assert!(opened(archive, exact).await.is_ok());
    // A billion entries in a directory of a hundred bytes are not even allocated.
    let mut archive = zip64(&[ZipEntry::stored("a", "x")]);
    let record = archive.len() - 22 - 20 - 56;
    for at in [24, 32] {
        archive[record + at..record + at + 4].copy_from_slice(&1_000_000_000_u32.to_le_bytes());
    }
    let error = open(archive.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    let many = limits().with_max_entries(u64::MAX);
    let error = opened(archive, many).await.unwrap_err();
    assert!(error.to_string().contains("cannot hold"), "{error}");
}

#[tokio::test]
async fn f74_the_header_before_the_bytes_must_say_what_the_directory_says() {
    let cases: &[(Change, &str)] = &[
        (|header| header.name = b"b".to_vec(), "is called \"b\""),
        (|header| header.name = b"aa".to_vec(), "is called \"aa\""),
        (|header| header.extra = vec![9, 9, 9, 0], "extra field"),
        (|header| header.flags |= 1, "another way"),
        (|header| header.method = 8, "another way"),
        (|header| header.crc += 1, "other sizes"),
        (|header| header.size += 1, "other sizes"),
        (|header| header.compressed -= 1, "other sizes"),
    ];
    for (change, wanted) in cases {
        let entry = ZipEntry::stored("a", "0123456789").with_local(*change);
        let text = entry_refusal(entry, ErrorKind::Archive).await;
        assert!(text.contains(wanted), "{text}");
    }
    // Extra fields that are longer than their place.
    let mut archive = zip(&[ZipEntry::stored("a", "0123456789")]);
    archive[28] = 1;
    let longer = open(archive).await.unwrap();
    let error = read(&longer, "a").await.unwrap_err();
    assert!(
        error.to_string().contains("reaches into the next one"),
        "{error}"
    );
    let moved = ZipEntry::stored("a", "0123456789").with_central(|header| header.offset += 1);
    let archive = zip(&[ZipEntry::stored("0", ""), moved.with_descriptor()]);
    let zip = open(archive).await.unwrap();
    let error = read(&zip, "a").await.unwrap_err();
    assert!(
        error.to_string().contains("not where the directory says"),
        "{error}"
    );
}

#[tokio::test]
async fn damaged_bytes_are_an_integrity_error() {
    let (text, noise) = (lines(2000), content(5000));
    let wrong: Change = |header| header.crc ^= 1;
    for entry in [
        ZipEntry::stored("a", &noise),
        ZipEntry::deflated("a", &text),
    ] {
        let entry = entry.with_local(wrong).with_central(wrong);
        let text = entry_refusal(entry, ErrorKind::Integrity).await;
        assert!(text.contains("CRC-32"), "{text}");
    }
    // Block type 3 does not exist.
    let entry = ZipEntry::packed("a", 8, &[0; 100], vec![0xFF; 50]);
    let text = entry_refusal(entry, ErrorKind::Integrity).await;
    assert!(text.contains("damaged"), "{text}");
}

#[tokio::test]
async fn compressed_bytes_that_end_too_early_or_too_late_are_refused() {
    use std::io::Write as _;
    let pack = |content: &[u8]| {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    let text = lines(2000);
    let whole = pack(&text);
    let cut = ZipEntry::packed("a", 8, &text, whole[..whole.len() / 2].to_vec());
    assert!(
        entry_refusal(cut, ErrorKind::Archive)
            .await
            .contains("cut short")
    );
    let more = ZipEntry::packed("a", 8, &text, [&whole[..], b"rest"].concat());
    assert!(
        entry_refusal(more, ErrorKind::Archive)
            .await
            .contains("4 compressed ones left")
    );
    let less = ZipEntry::packed("a", 8, &text, pack(&text[..10]));
    let less = less
        .with_central(|header| header.size = 100)
        .with_local(|header| header.size = 100);
    assert!(
        entry_refusal(less, ErrorKind::Archive)
            .await
            .contains("inflates to 10 bytes")
    );
    // Nothing but empty blocks.
    let nothing = ZipEntry::packed("a", 8, b"x", [0, 0, 0, 0xFF, 0xFF].repeat(1000));
    assert!(
        entry_refusal(nothing, ErrorKind::Archive)
            .await
            .contains("cut short")
    );
}

#[tokio::test]
async fn what_is_no_archive_is_said_to_be_that() {
    let good = zip(&[ZipEntry::stored("a", content(100_000))]);
    let in_front = |front: &[u8]| [front, &good].concat();
    for (bytes, wanted) in [
        (Vec::new(), "is empty"),
        (
            b"\n <!DOCTYPE html><title>Sign in</title>".to_vec(),
            "web page",
        ),
        (b"Not Found".to_vec(), "this is not a ZIP"),
        (in_front(b"MZ a stub"), "self-extracting"),
        (in_front(b"#!/bin/sh\n"), "self-extracting"),
        (in_front(b"PK\x07\x08"), "several parts"),
        (in_front(b"PK\x03\x04 and more"), "in front of them"),
        (good[..good.len() - 1].to_vec(), "its end is missing"),
        (good[..50_000].to_vec(), "its end is missing"),
        ([&good[..], b"more"].concat(), "its end is missing"),
    ] {
        let text = refusal(bytes).await;
        assert!(text.contains(wanted), "{text}");
    }
}

#[tokio::test]
async fn f74_a_directory_that_is_cut_or_too_long_is_refused() {
    let good = zip(&[ZipEntry::stored("a", "x"), ZipEntry::stored("b", "x")]);
    let directory = find(&good, b"PK\x01\x02");
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let end = good.len() - 22;
    // Names that end beyond, a wrong mark, one entry less than there are, one more.
    assert!(
        refusal(with(directory + 29, 1))
            .await
            .contains("in the middle of an entry")
    );
    assert!(
        refusal(with(directory + 47, 1))
            .await
            .contains("does not begin where")
    );
    let mut fewer = with(end + 8, 1);
    fewer[end + 10] = 1;
    assert!(refusal(fewer).await.contains("more than the 1 entries"));
    let mut more = with(end + 8, 3);
    more[end + 10] = 3;
    assert!(refusal(more).await.contains("cannot hold"));
}

#[tokio::test]
async fn f74_no_single_byte_of_an_archive_makes_it_yield_other_bytes() {
    let (text, noise) = (lines(30), content(60));
    let good = zip(&[
        ZipEntry::deflated("a", &text),
        ZipEntry::stored("b", &noise).with_descriptor(),
        ZipEntry::stored("c", "x").with_zip64(),
    ]);
    let wanted = [("a", &text[..]), ("b", &noise), ("c", b"x")];
    for at in 0..good.len() {
        for flip in [1, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            let Ok(zip) = open(bytes).await else { continue };
            for (path, wanted) in wanted {
                // It may be refused, or the byte may not matter.
                if let Ok(read) = read(&zip, path).await {
                    assert!(read == wanted, "byte {at} of the archive changed {path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn f74_no_cut_of_an_archive_is_read() {
    let good = zip64(&[
        ZipEntry::deflated("a", lines(30)),
        ZipEntry::stored("b", "x"),
    ]);
    for length in 0..good.len() {
        let error = open(good[..length].to_vec()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Archive, "{length}: {error}");
    }
}

#[tokio::test]
async fn a_local_archive_that_is_cut_while_it_is_read_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tool.zip");
    let wanted = content(3_000_000);
    let archive = zip(&[ZipEntry::stored("a", &wanted)]);
    std::fs::write(&path, &archive).unwrap();
    let source = Url::from_file_path(&path).unwrap();
    let transport = Arc::new(FileDownloader::new());
    let zip = ZipDownloader::open(source, transport, ZipLimits::default())
        .await
        .unwrap();
    let response = zip.open(&Request::new(at(&zip, "a"))).await.unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(1_000_000).unwrap();
    let error = crate::zip_reads::body(response).await.unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
    let error = zip.open(&Request::new(at(&zip, "a"))).await.unwrap_err();
    assert!(error.to_string().contains("its end is missing"), "{error}");
}

#[tokio::test]
async fn the_digest_decides_whatever_the_archive_says() {
    let memory = MemoryDownloader::new();
    memory.insert(url(ARCHIVE), zip(&[ZipEntry::deflated("a", "other bytes")]));
    let zip = ZipDownloader::new(url(ARCHIVE), Arc::new(memory)).unwrap();
    let source = [at(&zip, "a")];
    let error = Desk::new()
        .fetch(&fetcher(zip), b"right bytes", &source)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
}
