use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

use crate::error::quote;
use crate::{Error, ErrorKind};

/// Bytes read at a time while hashing. `scripts/profile-hashing` shows the curve: it is flat from 512 KiB to 2 MiB;
/// larger buffers fall out of the cache.
const BUFFER_LENGTH: usize = 1024 * 1024;
/// Where the buffer starts: the kernel copies to other places at about half the speed, and allocators give
/// large buffers a place 16 bytes into a page.
const BUFFER_ALIGNMENT: usize = 64;

/// The SHA-256 of a content: the identity of a file in a manifest.
///
/// Written as 64 lower-case hexadecimal digits; nothing else is accepted.
///
/// ```
/// use manifest_core::Sha256Digest;
///
/// let digest = Sha256Digest::of(b"abc");
/// assert_eq!(digest.to_string().parse::<Sha256Digest>()?, digest);
/// assert!("BA7816BF".parse::<Sha256Digest>().is_err());
/// # Ok::<(), manifest_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// The digest of a content that is in memory.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(sha2::Sha256::digest(content).into())
    }

    /// Wraps 32 bytes that are already a digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        formatter.pad(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Sha256Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || {
            Error::new(
                ErrorKind::Manifest,
                format!(
                    "{} is not a SHA-256: 64 lower-case hexadecimal digits are needed",
                    quote(text)
                ),
            )
        };
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(refuse());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| refuse())?;
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Sha256Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sha256".into()
    }

    fn inline_schema() -> bool {
        true // where it is optional, `null` is one more type instead of an alternative
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "SHA-256 as 64 lower-case hexadecimal digits.",
            "pattern": "^[0-9a-f]{64}$",
        })
    }
}

/// Computes a [`Sha256Digest`] from pieces, as they arrive.
///
/// ```
/// use manifest_core::{Sha256Digest, Sha256Hasher};
///
/// let mut hasher = Sha256Hasher::new();
/// hasher.update(b"a");
/// hasher.update(b"bc");
/// assert_eq!(hasher.finalize(), Sha256Digest::of(b"abc"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sha256Hasher(sha2::Sha256);

impl Sha256Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything that was added.
    #[must_use]
    pub fn finalize(self) -> Sha256Digest {
        Sha256Digest(self.0.finalize().into())
    }
}

/// Hashes everything a reader still has. Returns the digest and the number of bytes.
///
/// Memory use is one buffer of 1 MiB for each thread, whatever the length.
///
/// # Errors
/// The reader's own; `Interrupted` is tried again.
pub fn hash_reader(reader: impl Read) -> io::Result<(Sha256Digest, u64)> {
    let mut hasher = Sha256Hasher::new();
    let length = read_in_pieces(reader, |piece| hasher.update(piece))?;
    Ok((hasher.finalize(), length))
}

/// Hashes an open file from its current position. Returns the digest and the number of bytes.
///
/// # Errors
/// As [`hash_reader`].
pub fn hash_file(file: &File) -> io::Result<(Sha256Digest, u64)> {
    hash_reader(file)
}

/// Hashes everything a reader still has with BLAKE3: for chunks and local caches, never for the
/// identity of a file. Returns the 32 bytes and the number of bytes read.
///
/// # Errors
/// As [`hash_reader`].
pub fn blake3_reader(reader: impl Read) -> io::Result<([u8; 32], u64)> {
    let mut hasher = blake3::Hasher::new();
    let length = read_in_pieces(reader, |piece| {
        hasher.update(piece);
    })?;
    Ok((*hasher.finalize().as_bytes(), length))
}

fn read_in_pieces(mut reader: impl Read, mut take: impl FnMut(&[u8])) -> io::Result<u64> {
    thread_local! {
        // Twenty thousand small files would otherwise each zero a buffer that they hardly use.
        static BUFFER: std::cell::Cell<Vec<u8>> = const { std::cell::Cell::new(Vec::new()) };
    }
    let mut buffer = BUFFER.take();
    if buffer.is_empty() {
        buffer = vec![0; BUFFER_LENGTH + BUFFER_ALIGNMENT]; // the kernel's zeros: what is not used costs no memory
    }
    // The least shift is asked for, but not promised.
    let start = buffer
        .as_ptr()
        .align_offset(BUFFER_ALIGNMENT)
        .min(BUFFER_ALIGNMENT);
    let aligned = &mut buffer[start..][..BUFFER_LENGTH];
    let mut length = 0;
    let outcome = loop {
        match reader.read(aligned) {
            Ok(0) => break Ok(length),
            Ok(count) => {
                take(&aligned[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    BUFFER.set(buffer);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256Digest::of(b"").to_string(), empty);
        let (digest, length) = hash_reader(&b"abc"[..]).unwrap();
        assert_eq!(length, 3);
        assert_eq!(digest, Sha256Digest::of(b"abc"));
        let (fast, length) = blake3_reader(&b"abc"[..]).unwrap();
        assert_eq!(length, 3);
        assert_eq!(
            hex::encode(fast),
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
        );
    }

    /// Twice on one thread: the second read finds the buffer of the first.
    #[test]
    fn a_content_that_is_longer_than_a_buffer_is_hashed_whole() {
        for length in [3 * BUFFER_LENGTH + 1, BUFFER_LENGTH, BUFFER_LENGTH - 1] {
            let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let (digest, read) = hash_reader(&bytes[..]).unwrap();
            assert_eq!((digest, read), (Sha256Digest::of(&bytes), length as u64));
        }
    }

    #[test]
    fn a_reader_is_asked_for_whole_buffers_at_a_cache_line() {
        struct Asked(usize, usize);
        impl Read for &mut Asked {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                (self.0, self.1) = (buffer.len(), buffer.as_ptr().align_offset(64));
                Ok(0)
            }
        }
        let mut asked = Asked(0, 1);
        hash_reader(&mut asked).unwrap();
        assert_eq!((asked.0, asked.1), (BUFFER_LENGTH, 0));
    }

    #[test]
    fn only_64_lower_case_digits_are_a_digest() {
        let good = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(good.parse::<Sha256Digest>().unwrap().to_string(), good);
        for bad in [
            "",
            &good[1..],
            &good.to_uppercase(),
            &good.replace('b', "g"),
            &format!("{good}0"),
        ] {
            assert_eq!(
                bad.parse::<Sha256Digest>().unwrap_err().kind(),
                ErrorKind::Manifest,
                "{bad}"
            );
        }
    }
}
