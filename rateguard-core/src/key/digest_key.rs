//! Creates a key from the text of its digest.

use super::{DIGEST_BYTES, key::Key};

/// Creates the key whose digest has this text: 32 hexadecimal digits, as in
/// [`QuotaOverride::key_digest`](crate::QuotaOverride::key_digest). The result is `None` for any other text.
///
/// The digest is that of the key in the store. If a guard has a secret, it must not hash this key again.
pub fn digest_key(text: &str) -> Option<Key> {
    let mut digest = [0; DIGEST_BYTES];
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != DIGEST_BYTES {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        let mut value = 0;
        for digit in pair {
            value = value * 16 + char::from(*digit).to_digit(16)?;
        }
        *byte = u8::try_from(value).ok()?;
    }
    Some(Key::of_digest(&digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_selects_the_bucket_of_its_key() {
        let key = Key::from("user-42");
        let text = "3d96e352bbde918d06f1a23d15894dc9";
        assert_eq!(digest_key(text).unwrap(), key.digested());
        assert_eq!(digest_key(&text.to_uppercase()).unwrap(), key.digested());
        for text in ["", "3d", &text[1..], &format!("{text}00"), &text.replace('3', "g")] {
            assert_eq!(digest_key(text), None, "{text}");
        }
    }
}
