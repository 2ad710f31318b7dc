//! Text that is nearly right: what people write, cut, repeated and mixed with what it is made of.

use std::fmt;

use super::random::Random;

/// Bytes that are shown as a literal.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Text(pub(super) Vec<u8>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// What text of one kind is made of.
#[derive(Clone, Copy)]
pub(super) struct Words {
    /// Whole texts as people and programs write them.
    pub(super) wholes: &'static [&'static str],
    /// Pieces of them, separators among them.
    pub(super) pieces: &'static [&'static str],
}

/// Characters that some function takes for another, or for nothing.
const ODD: [&str; 12] = [
    "\0", "\t", "\r\n", "\u{7f}", "\u{a0}", "\u{ad}", "\u{200b}", "\u{202e}", "\u{2003}",
    "\u{ff11}", "ß", "İ",
];

impl Words {
    /// One of the wholes, changed in places; or pieces in a row; or any bytes.
    pub(super) fn text(self, random: &mut Random) -> Text {
        let mut text = Vec::new();
        match random.below(16) {
            0 => text = random.list(60, Random::byte),
            1..6 => {
                for _ in 0..random.below(12) {
                    self.add_piece(&mut text, random);
                }
            }
            _ => {
                text.extend_from_slice(random.pick(self.wholes).as_bytes());
                for _ in 0..random.below(4) {
                    self.change(&mut text, random);
                }
            }
        }
        Text(text)
    }

    /// The same, as characters.
    pub(super) fn string(self, random: &mut Random) -> String {
        match String::from_utf8(self.text(random).0) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }

    fn add_piece(self, to: &mut Vec<u8>, random: &mut Random) {
        match random.below(12) {
            0 => to.extend(random.pick(&ODD).bytes()),
            1..3 => to.extend(random.digits().bytes()),
            _ => to.extend(random.pick(self.pieces).bytes()),
        }
    }

    /// Puts something in, takes something out, says something again, or turns a bit around.
    fn change(self, text: &mut Vec<u8>, random: &mut Random) {
        let start = random.below(text.len() + 1);
        let end = start + random.below((text.len() - start).min(20) + 1);
        let mut piece = Vec::new();
        match random.below(8) {
            0 => text.truncate(start),
            1 => drop(text.drain(start..end)),
            2 => {
                let times = if random.one_in(64) { random.below(2_000) } else { random.below(4) };
                piece = text[start..end].repeat(times);
            }
            3 if start < text.len() => text[start] ^= 1 << random.below(8),
            4 => {
                piece.extend(random.pick(self.wholes).bytes());
            }
            5 => {
                // A number in the place of another.
                let is_digit = |byte: &u8| byte.is_ascii_digit();
                let start = text[start..].iter().position(is_digit).map_or(start, |at| start + at);
                let digits = text[start..].iter().copied().take_while(u8::is_ascii_digit).count();
                text.splice(start..start + digits, random.digits().into_bytes());
                return;
            }
            _ => self.add_piece(&mut piece, random),
        }
        text.splice(start.min(text.len())..start.min(text.len()), piece);
    }
}
