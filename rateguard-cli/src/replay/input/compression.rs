//! Decompresses gzip and zstd, which their first bytes show.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::zstd::ZstdFrames;

const BUFFER_BYTES: usize = 128 * 1024;

/// Returns a reader of the decompressed bytes. A file can consist of several gzip members or zstd frames.
///
/// # Errors
///
/// The error of the first read, or [`io::ErrorKind::Unsupported`] for bzip2 and xz.
pub(super) fn decompressed(source: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut source = BufReader::with_capacity(BUFFER_BYTES, source);
    let start = source.fill_buf()?;
    if start.starts_with(&[0x1f, 0x8b]) {
        let decoder = MultiGzDecoder::new(source);
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)));
    }
    if ZstdFrames::<&[u8]>::is_start(start) {
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, ZstdFrames::new(source))));
    }
    if let Some(name) = unsupported(start) {
        let message =
            format!("expected text, gzip or zstd, found {name}; decompress the log first");
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    Ok(Box::new(source))
}

/// Returns the name of a compression that the tool cannot read.
fn unsupported(start: &[u8]) -> Option<&'static str> {
    if start.starts_with(b"BZh") {
        return Some("bzip2");
    }
    start.starts_with(b"\xfd7zXZ\0").then_some("xz")
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::{Compression, write::GzEncoder};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn read(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        decompressed(Cursor::new(bytes))?.read_to_end(&mut text).map(|_| text)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    #[test]
    fn several_members_and_frames_are_one_text() {
        let (one, two) = (b"a line\n".repeat(50_000), b"another line\n".repeat(50_000));
        let both = [&*one, &*two].concat();
        assert_eq!(read(both.clone()).unwrap(), both);
        assert_eq!(read([gzip(&one), gzip(&two)].concat()).unwrap(), both);
        assert_eq!(read([zstd(&one), zstd(&two)].concat()).unwrap(), both);
        // A skippable frame (RFC 8878, section 3.1.2) has 5 bytes of content here.
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"xxxxx"].concat();
        assert_eq!(
            read([skippable.clone(), zstd(&one), skippable, zstd(&two)].concat()).unwrap(),
            both
        );
        assert_eq!(read(Vec::new()).unwrap(), b"");
    }

    #[test]
    fn damaged_file_is_an_error_after_its_valid_part() {
        for mut bytes in [gzip(&b"a line\n".repeat(100_000)), zstd(&b"a line\n".repeat(100_000))] {
            bytes.truncate(bytes.len() - 9);
            let mut reader = decompressed(Cursor::new(bytes)).unwrap();
            let mut text = Vec::new();
            assert!(reader.read_to_end(&mut text).is_err());
        }
    }
}
