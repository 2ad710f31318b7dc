//! Generates text that is almost valid: valid examples that are cut, repeated, or mixed with fragments.

use std::fmt;

use super::random::Random;

/// Bytes that `Debug` formats as a Rust byte string literal.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Text(pub(super) Vec<u8>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// The source of random text for one notation.
#[derive(Clone, Copy)]
pub(super) struct TextSource {
    /// Complete texts, as people and programs write them.
    pub(super) examples: &'static [&'static str],
    /// Fragments of these texts, including the separators.
    pub(super) fragments: &'static [&'static str],
}

/// Characters that some functions ignore, or convert into another character.
const ODD: [&str; 12] = [
    "\0", "\t", "\r\n", "\u{7f}", "\u{a0}", "\u{ad}", "\u{200b}", "\u{202e}", "\u{2003}",
    "\u{ff11}", "ß", "İ",
];

impl TextSource {
    /// Returns a changed example, a sequence of fragments, or random bytes.
    pub(super) fn text(self, random: &mut Random) -> Text {
        let mut text = Vec::new();
        match random.below(16) {
            0 => text = random.list(60, Random::byte),
            1..6 => {
                for _ in 0..random.below(12) {
                    self.add_fragment(&mut text, random);
                }
            }
            _ => {
                text.extend_from_slice(random.pick(self.examples).as_bytes());
                for _ in 0..random.below(4) {
                    self.change(&mut text, random);
                }
            }
        }
        Text(text)
    }

    /// Returns the result of [`text`](Self::text) as a string. Invalid UTF-8 is replaced.
    pub(super) fn string(self, random: &mut Random) -> String {
        match String::from_utf8(self.text(random).0) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }

    fn add_fragment(self, to: &mut Vec<u8>, random: &mut Random) {
        match random.below(12) {
            0 => to.extend(random.pick(&ODD).bytes()),
            1..3 => to.extend(random.digits().bytes()),
            _ => to.extend(random.pick(self.fragments).bytes()),
        }
    }

    /// Inserts, deletes or repeats a part of the text, or flips a bit.
    fn change(self, text: &mut Vec<u8>, random: &mut Random) {
        let start = random.below(text.len() + 1);
        let end = start + random.below((text.len() - start).min(20) + 1);
        let mut fragment = Vec::new();
        match random.below(8) {
            0 => text.truncate(start),
            1 => drop(text.drain(start..end)),
            2 => {
                let times = if random.one_in(64) { random.below(2_000) } else { random.below(4) };
                fragment = text[start..end].repeat(times);
            }
            3 if start < text.len() => text[start] ^= 1 << random.below(8),
            4 => {
                fragment.extend(random.pick(self.examples).bytes());
            }
            5 => {
                // This change replaces a number with random digits.
                let is_digit = |byte: &u8| byte.is_ascii_digit();
                let start = text[start..].iter().position(is_digit).map_or(start, |at| start + at);
                let digits = text[start..].iter().copied().take_while(u8::is_ascii_digit).count();
                text.splice(start..start + digits, random.digits().into_bytes());
                return;
            }
            _ => self.add_fragment(&mut fragment, random),
        }
        text.splice(start.min(text.len())..start.min(text.len()), fragment);
    }
}
