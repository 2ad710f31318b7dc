//! Decompresses files of several zstd frames (RFC 8878), such as those of `zstd --adapt` and of concatenated files.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// Reads the content of all frames, one after the other.
pub(super) struct ZstdFrames<R> {
    source: R,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), is_in_frame: false }
    }

    /// Returns whether these bytes are the start of a frame or of a skippable frame.
    pub(super) fn is_start(bytes: &[u8]) -> bool {
        let Some([a, b, c, d]) = bytes.first_chunk() else { return false };
        let is_skippable = (0x50..=0x5f).contains(a) && [*b, *c, *d] == [0x2a, 0x4d, 0x18];
        [*a, *b, *c, *d] == [0x28, 0xb5, 0x2f, 0xfd] || is_skippable
    }
}

impl<R: BufRead> ZstdFrames<R> {
    /// Starts the next frame. Returns `false` at the end of the file.
    fn start_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.is_in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = self.source.by_ref().take(length.into());
                    io::copy(&mut skipped, &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error.to_string())),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_in_frame && !self.start_frame()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|error| io::Error::other(error.to_string()))?;
            }
            match self.decoder.read(to)? {
                0 if !to.is_empty() => self.is_in_frame = false,
                read => return Ok(read),
            }
        }
    }
}
