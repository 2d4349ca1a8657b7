//! Where the bytes of an archive go: into a file and a digest, or into a digest only.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use durable_fs::FileWriter;
use manifest_core::{Sha256Digest, Sha256Hasher};

use crate::zip::Sink;
use crate::{Error, Result};

const BLOCK: usize = 256 * 1024;
/// Blocks on their way to the digest.
const AHEAD: usize = 8;

/// Writes blocks into a file, if there is one, while another thread computes the digest of it all.
pub(crate) struct Output {
    file: Option<FileWriter>,
    block: Vec<u8>,
    to_digest: SyncSender<Vec<u8>>,
    used: Receiver<Vec<u8>>,
    digest: JoinHandle<Sha256Digest>,
}

impl Output {
    /// Without a file, only the digest is found.
    pub(crate) fn new(file: Option<FileWriter>) -> Result<Self> {
        let (to_digest, blocks) = sync_channel::<Vec<u8>>(AHEAD);
        let (give_back, used) = channel();
        let hash = move || {
            let mut hasher = Sha256Hasher::new();
            for mut block in blocks {
                hasher.update(&block);
                block.clear();
                let _ = give_back.send(block); // nobody takes the last ones back
            }
            hasher.finalize()
        };
        let digest = thread::Builder::new()
            .spawn(hash)
            .map_err(|error| Error::io("cannot start a thread for hashing", error))?;
        Ok(Self {
            file,
            block: Vec::with_capacity(BLOCK),
            to_digest,
            used,
            digest,
        })
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.write_bytes(&self.block).map_err(unwritten)?;
        }
        let empty = self.used.try_recv();
        let next = empty.unwrap_or_else(|_| Vec::with_capacity(BLOCK));
        let full = std::mem::replace(&mut self.block, next);
        self.to_digest
            .send(full)
            .expect("the hashing thread ends after its sender");
        Ok(())
    }

    /// Makes the content durable. Returns its digest.
    pub(crate) fn finish(mut self) -> Result<Sha256Digest> {
        self.flush()?;
        if let Some(file) = &mut self.file {
            file.sync().map_err(unwritten)?;
        }
        drop(self.to_digest);
        Ok(self.digest.join().expect("hashing does not panic"))
    }
}

fn unwritten(error: durable_fs::Error) -> Error {
    Error::disk("an archive cannot be written", error)
}

impl Sink for Output {
    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = BLOCK - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK {
                self.flush()?;
            }
        }
        Ok(())
    }
}
