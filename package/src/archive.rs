//! One archive, from its files to its digest.

use durable_fs::{Dir, FileWriter};
use manifest_core::{FileEntry, Sha256Digest};

use crate::Result;
use crate::content::{Prepared, Scratch, Source};
use crate::ordered::in_order;
use crate::output::Output;
use crate::progress::Watch;
use crate::zip::{Entry, ZipWriter};

/// A file that goes into an archive, and under which name.
pub(crate) struct Member<'a> {
    pub(crate) name: &'a str,
    pub(crate) file: &'a FileEntry,
}

/// What was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) sha256: Sha256Digest,
    pub(crate) size: u64,
}

/// Packs files in the order given, and after them, as the last, a document that is in memory. Without `out`
/// nothing is written, and the answer is the same.
pub(crate) fn pack(
    folder: &Dir,
    members: &[Member<'_>],
    last: Option<(&str, Vec<u8>)>,
    out: Option<FileWriter>,
    threads: usize,
    watch: &Watch<'_>,
) -> Result<Written> {
    let mut zip = ZipWriter::new(Output::new(out)?);
    let mut scratch = Scratch::new();
    in_order(
        members,
        threads,
        Scratch::new,
        |member, scratch| source(folder, member).prepare(scratch, watch),
        |member, prepared| {
            let entry = entry(
                member.name,
                &prepared,
                member.file.size(),
                member.file.executable(),
            );
            zip.add(&entry, |sink| {
                source(folder, member).write(&prepared, &mut scratch, watch, sink)
            })
        },
    )?;
    if let Some((name, content)) = last {
        let size = content.len() as u64;
        let prepared = Prepared::of(content, &mut scratch)?;
        zip.add(&entry(name, &prepared, size, false), |sink| {
            let written = prepared.write_held(sink);
            written.expect("what came from memory is in memory")
        })?;
    }
    let (output, size) = zip.finish()?;
    let sha256 = output.finish()?;
    Ok(Written { sha256, size })
}

fn source<'a>(folder: &'a Dir, member: &Member<'a>) -> Source<'a> {
    Source {
        folder,
        file: member.file,
    }
}

fn entry<'n>(name: &'n str, prepared: &Prepared, size: u64, executable: bool) -> Entry<'n> {
    Entry {
        name,
        method: prepared.method,
        executable,
        crc: prepared.crc,
        compressed: prepared.compressed,
        size,
    }
}
