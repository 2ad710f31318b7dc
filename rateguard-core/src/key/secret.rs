//! Computes the digests of keys with a secret.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::key::Key;

/// A secret on which the digests of keys depend. An attacker who can read the store, but does not have the secret,
/// cannot find the address or user id of a key by trying all values.
pub struct KeySecret {
    hmac: Hmac<Sha256>,
}

impl KeySecret {
    /// The minimum number of bytes in a secret: 16 bytes, which are 128 bits.
    pub const MIN_BYTES: usize = 16;

    /// Creates a secret; `None` if `secret` is shorter than [`MIN_BYTES`](Self::MIN_BYTES).
    pub fn new(secret: &[u8]) -> Option<Self> {
        if secret.len() < Self::MIN_BYTES {
            return None;
        }
        Some(Self { hmac: Hmac::new_from_slice(secret).ok()? })
    }

    /// Returns the key that the store receives. It is the first 128 bits of the HMAC-SHA-256 (RFC 2104) of the
    /// key's digest.
    pub fn seal(&self, key: &Key) -> Key {
        let sealed = self.hmac.clone().chain_update(key.digest()).finalize().into_bytes();
        Key::of_digest(&sealed).in_network(key.network())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_key_depends_on_key_and_secret() {
        let key = Key::from("user-42");
        let secret = |text: &str| KeySecret::new(text.as_bytes());
        assert!(secret("fifteen bytes..").is_none());
        let [one, other] = ["sixteen bytes...", "other secret text"].map(|it| secret(it).unwrap());
        assert_ne!(one.seal(&key), key);
        assert_ne!(one.seal(&key), other.seal(&key));
        assert_ne!(one.seal(&key), one.seal(&Key::from("user-43")));
        // This is the first half of the HMAC-SHA-256 of the digest of "user-42".
        let expected = 0xd5be811851def28ab3b8e08b73870611_u128.to_be_bytes();
        assert_eq!(one.seal(&key).digest(), expected);
    }
}
