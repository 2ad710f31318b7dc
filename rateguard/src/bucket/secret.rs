//! Keys that nobody can guess.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::key::Key;

/// What keys are digested with once more, so that nobody without it can find out whose a key is by trying all addresses
/// or user ids.
pub(crate) struct KeySecret {
    hmac: Hmac<Sha256>,
}

impl KeySecret {
    /// The shortest that is accepted, in bytes: 128 bits.
    pub(crate) const MIN_BYTES: usize = 16;

    pub(crate) fn new(secret: &[u8]) -> Option<Self> {
        if secret.len() < Self::MIN_BYTES {
            return None;
        }
        Some(Self { hmac: Hmac::new_from_slice(secret).ok()? })
    }

    /// The key as it stands in the store: HMAC-SHA-256 (RFC 2104), its first 128 bits.
    pub(crate) fn seal(&self, key: &Key) -> Key {
        let sealed = self.hmac.clone().chain_update(key.digest()).finalize().into_bytes();
        Key::of_digest(&sealed).in_network(key.network())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_gives_other_keys_and_every_secret_its_own() {
        let key = Key::from("user-42");
        let secret = |text: &str| KeySecret::new(text.as_bytes());
        assert!(secret("fifteen bytes..").is_none());
        let [one, other] = ["sixteen bytes...", "other secret text"].map(|it| secret(it).unwrap());
        assert_ne!(one.seal(&key), key);
        assert_ne!(one.seal(&key), other.seal(&key));
        assert_ne!(one.seal(&key), one.seal(&Key::from("user-43")));
        // HMAC-SHA-256 of the digest of "user-42", its first half.
        let expected = 0xd5be811851def28ab3b8e08b73870611_u128.to_be_bytes();
        assert_eq!(one.seal(&key).digest(), expected);
    }
}
