//! The text of the document that has all overrides. All application servers read and write this document.

use std::{fmt::Write, sync::Arc, time::Duration};

use crate::{Quotas, key::DIGEST_BYTES};

/// The name of the document in the store.
pub(super) const NAME: &str = "overrides";

/// The maximum number of overrides of all policies together. The document then has about 100 KB, or up to 800 KB with
/// long descriptions, and each process reads it after each change.
pub(super) const MAX_OVERRIDES: usize = 1_000;

/// The maximum number of characters in a description.
pub(super) const MAX_DESCRIPTION: usize = 200;

/// The first line of the document.
const FORMAT: &str = "1";

pub(super) type Digest = [u8; DIGEST_BYTES];

/// An override with its end on a clock: that of the store in the document, and that of this process in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredOverride {
    pub(super) ends_at: Duration,
    pub(super) digest: Digest,
    pub(super) policy: String,
    pub(super) quotas: Arc<Quotas>,
    pub(super) description: Option<String>,
}

impl StoredOverride {
    pub(super) fn is_for(&self, policy: &str, digest: &Digest) -> bool {
        self.digest == *digest && self.policy == policy
    }
}

/// Writes one line for each override: its end in microseconds, the digest, the policy, the quotas and the description,
/// with tabs between them.
pub(super) fn encode<'a>(
    overrides: impl IntoIterator<Item = &'a StoredOverride>,
    unknown_lines: &[String],
) -> String {
    let mut text = FORMAT.to_owned();
    for it in overrides {
        let (micros, digest) = (it.ends_at.as_micros(), hex(&it.digest));
        // A write into a `String` never fails.
        let _ = write!(text, "\n{micros}\t{digest}\t{}\t{}", it.policy, it.quotas);
        if let Some(description) = &it.description {
            text.push('\t');
            escape(description, &mut text);
        }
    }
    for line in unknown_lines {
        text.push('\n');
        text.push_str(line);
    }
    text
}

/// Reads the overrides, and returns them with the lines that this process cannot parse: a later version of the program, or
/// one with more features, can have written them. Returns `None` if the text is not a document of this format. Ignores
/// additional columns, so that a later version can add some.
pub(super) fn decode(text: &str) -> Option<(Vec<StoredOverride>, Vec<String>)> {
    let mut lines = text.split('\n');
    if lines.next() != Some(FORMAT) {
        return None;
    }
    let (mut overrides, mut unknown) = (Vec::new(), Vec::new());
    for line in lines {
        match decode_line(line) {
            Some(it) => overrides.push(it),
            None => unknown.push(line.to_owned()),
        }
    }
    // The lines come from the store, so their number is bounded, too.
    unknown.truncate(MAX_OVERRIDES);
    Some((overrides, unknown))
}

/// Returns the end of the override in this line, on the clock of the store.
pub(super) fn end_of(line: &str) -> Option<Duration> {
    Some(Duration::from_micros(line.split('\t').next()?.parse().ok()?))
}

fn decode_line(line: &str) -> Option<StoredOverride> {
    let mut columns = line.split('\t').skip(1);
    Some(StoredOverride {
        ends_at: end_of(line)?,
        digest: unhex(columns.next()?)?,
        policy: columns.next()?.to_owned(),
        quotas: Arc::new(columns.next()?.parse().ok()?),
        description: match columns.next() {
            Some(description) => Some(unescape(description)?),
            None => None,
        },
    })
}

/// Returns the digest in hexadecimal digits.
pub(super) fn hex(digest: &Digest) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != digest.len() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// Appends the text. A percent sign and two hexadecimal digits replace each control character in ASCII and each percent
/// sign, so the result has no tab and no new line.
fn escape(text: &str, escaped: &mut String) {
    for character in text.chars() {
        if character.is_ascii_control() || character == '%' {
            let _ = write!(escaped, "%{:02x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut unescaped = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        unescaped.push(char::from(u8::from_str_radix(digits, 16).ok()?));
        unescaped.push_str(rest);
    }
    Some(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(quotas: &str, description: Option<&str>) -> StoredOverride {
        StoredOverride {
            ends_at: Duration::from_micros(1_700_000_000_000_001),
            digest: *b"\x00\x01digest of k\xfe\xff9",
            policy: "api::search".to_owned(),
            quotas: Arc::new(quotas.parse().unwrap()),
            description: description.map(str::to_owned),
        }
    }

    #[test]
    fn overrides_round_trip() {
        let all = [
            stored("1000/minute", None),
            stored(
                "5/second; 100/minute token_bucket burst 7; 3 concurrent lease minute",
                Some(""),
            ),
            stored("100/minute lease 9 for 2s", Some("<b>\t\n\r\0\u{7f}%0a%\u{202e}\u{1f600}</b>")),
        ];
        assert_eq!(decode(&encode(&all, &[])), Some((all.to_vec(), vec![])));
        assert_eq!(decode(&encode([], &[])), Some((vec![], vec![])));
    }

    #[test]
    fn foreign_documents_are_rejected_and_unknown_lines_stay() {
        let valid = encode(&[stored("5/minute", Some("text"))], &[]);
        assert!(decode(&format!("{valid}\tnew column")).is_some_and(|(known, _)| known.len() == 1));
        assert_eq!([decode(""), decode("2"), decode("2\n1")], [None, None, None]);
        for text in [
            "1\n",
            &valid.replace("5/minute", "5/minut"),
            &valid.replace("0001", "000"),
            &valid.replace("0001", "zz01"),
            &valid.replace("170", "-70"),
            &valid.replace("text", "%"),
            &valid.replace("text", "%0x"),
        ] {
            let (known, unknown) = decode(text).unwrap();
            assert_eq!((known.len(), unknown.len()), (0, 1), "{text:?}");
            assert_eq!(encode(&known, &unknown), text);
        }
    }
}
