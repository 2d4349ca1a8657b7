use miniz_oxide::DataFormat;
use miniz_oxide::deflate::CompressionLevel;
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output};

use crate::Result;

/// Compresses by Deflate, always at the same level.
///
/// Not through `flate2`, whose backend any crate of a program may exchange; zlib-rs and zlib-ng also write
/// other bytes on other processors. This one has no code for special processors.
pub(crate) struct Deflate(Box<CompressorOxide>);

impl Deflate {
    pub(crate) fn new() -> Self {
        let compressor =
            CompressorOxide::with_format_and_level(DataFormat::Raw, CompressionLevel::DefaultLevel);
        Self(Box::new(compressor))
    }

    /// Starts a new content.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }

    /// Compresses the next bytes of the content; `put` takes what there is to write, if anything.
    pub(crate) fn update(
        &mut self,
        bytes: &[u8],
        put: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.run(bytes, TDEFLFlush::None, TDEFLStatus::Okay, put)
    }

    /// Ends the content.
    pub(crate) fn finish(&mut self, put: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.run(&[], TDEFLFlush::Finish, TDEFLStatus::Done, put)
    }

    fn run(
        &mut self,
        bytes: &[u8],
        flush: TDEFLFlush,
        expected: TDEFLStatus,
        mut put: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut outcome = Ok(());
        let (status, taken) = compress_to_output(&mut self.0, bytes, flush, |compressed| {
            outcome = put(compressed);
            outcome.is_ok()
        });
        outcome?;
        assert!(
            status == expected && taken == bytes.len(),
            "a compressor that hands on its output takes all of its input"
        );
        Ok(())
    }
}
