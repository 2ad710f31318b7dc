//! Computes the digests of keys with a secret.

use sha2::{Digest, Sha256};

use super::key::Key;

/// The number of bytes that SHA-256 processes at a time.
const BLOCK_BYTES: usize = 64;

/// A secret on which the digests of keys depend. An attacker who can read the store, but does not have the secret,
/// cannot find the address or user id of a key by trying all values.
pub struct KeySecret {
    /// The states of the inner and the outer hash of HMAC after each of them has processed the secret. The states are
    /// stored, so the secret is hashed only once, and not for each key.
    inner: Sha256,
    outer: Sha256,
}

impl KeySecret {
    /// The minimum number of bytes in a secret: 16 bytes, which are 128 bits.
    pub const MIN_BYTES: usize = 16;

    /// Creates a secret; `None` if `secret` is shorter than [`MIN_BYTES`](Self::MIN_BYTES).
    pub fn new(secret: &[u8]) -> Option<Self> {
        if secret.len() < Self::MIN_BYTES {
            return None;
        }
        let mut block = [0; BLOCK_BYTES];
        if let Some(start) = block.get_mut(..secret.len()) {
            start.copy_from_slice(secret);
        } else {
            let digest = Sha256::digest(secret);
            block[..digest.len()].copy_from_slice(&digest);
        }
        let state = |pad: u8| Sha256::new_with_prefix(block.map(|byte| byte ^ pad));
        Some(Self { inner: state(0x36), outer: state(0x5c) })
    }

    /// Returns the key that the store receives in place of `key`: the first 128 bits of the HMAC-SHA-256 (RFC 2104) of
    /// the digest of `key`, with this secret.
    pub fn seal(&self, key: &Key) -> Key {
        Key::of_digest(&self.hmac(key.digest())).in_network(key.network())
    }

    /// Returns the HMAC-SHA-256 (RFC 2104) of a message.
    fn hmac(&self, message: impl AsRef<[u8]>) -> [u8; 32] {
        let inner = self.inner.clone().chain_update(message).finalize();
        self.outer.clone().chain_update(inner).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};

    use super::*;

    #[test]
    fn hmac_matches_the_library() {
        for length in [16, 31, 32, 63, 64, 65, 200] {
            let secret: Vec<u8> = (0..length).collect();
            for message in [&b""[..], b"user-42", &[7; 100]] {
                let mut expected = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
                expected.update(message);
                let expected: [u8; 32] = expected.finalize().into_bytes().into();
                assert_eq!(KeySecret::new(&secret).unwrap().hmac(message), expected, "{length}");
            }
        }
    }

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
