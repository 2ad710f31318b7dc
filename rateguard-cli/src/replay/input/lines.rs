//! Reads lines of a bounded length.

use std::io::{self, BufRead, Read};

/// The maximum length of a line in bytes. Servers bound the request line and each header to 8 or 16 KB by default.
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// A line without its line break.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Text(&'a [u8]),
    /// The start of a line that is longer than [`MAX_LINE_BYTES`].
    TooLong(&'a [u8]),
}

/// Reads lines into one buffer, which has a bounded size.
pub(crate) struct LineReader<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The number of the last line, from 1.
    number: u64,
}

impl<R: BufRead> LineReader<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), number: 0 }
    }

    /// Returns the number of the last line that [`next`](Self::next) has returned.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the next line, or `None` at the end of the file. The last line may have no line break.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        // A line of the maximum length can end with `\r\n`.
        let max = (MAX_LINE_BYTES + 2) as u64;
        if self.reader.by_ref().take(max).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let is_ended = self.buffer.last() == Some(&b'\n');
        if !is_ended && self.buffer.len() > MAX_LINE_BYTES {
            self.skip_line()?;
        }
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = match self.number {
            1 => line.strip_prefix(BOM).unwrap_or(line),
            _ => line,
        };
        Ok(Some(match line.get(..MAX_LINE_BYTES) {
            Some(start) if line.len() > MAX_LINE_BYTES => Line::TooLong(start),
            _ => Line::Text(line),
        }))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let bytes = self.reader.fill_buf()?;
            if bytes.is_empty() {
                return Ok(());
            }
            match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.reader.consume(end + 1);
                    return Ok(());
                }
                None => {
                    let length = bytes.len();
                    self.reader.consume(length);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_the_byte_order_mark_are_removed() {
        let mut lines = LineReader::new(&b"\xef\xbb\xbfa\r\n\r\nb\n\nc"[..]);
        for (number, expected) in (1..).zip([&b"a"[..], b"", b"b", b"", b"c"]) {
            assert_eq!(lines.next().unwrap(), Some(Line::Text(expected)));
            assert_eq!(lines.number(), number);
        }
        assert_eq!(lines.next().unwrap(), None);
    }

    #[test]
    fn long_line_is_cut_and_the_next_line_is_read() {
        for ending in ["\n", "\r\n"] {
            for length in
                [MAX_LINE_BYTES, MAX_LINE_BYTES + 1, MAX_LINE_BYTES + 2, 5 * MAX_LINE_BYTES]
            {
                let text = "x".repeat(length) + ending + "next";
                let mut lines = LineReader::new(text.as_bytes());
                match lines.next().unwrap() {
                    Some(Line::Text(line)) => {
                        assert_eq!((line.len(), length), (length, MAX_LINE_BYTES))
                    }
                    Some(Line::TooLong(line)) => {
                        assert!(line.len() == MAX_LINE_BYTES && length > MAX_LINE_BYTES);
                    }
                    None => panic!("expected a line"),
                }
                assert_eq!(lines.next().unwrap(), Some(Line::Text(b"next")));
                assert_eq!(lines.number(), 2);
            }
        }
    }
}
