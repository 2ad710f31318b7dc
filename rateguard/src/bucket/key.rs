//! Who is counted: a digest. Which bytes it is the digest of.

use std::{borrow::Cow, net::IpAddr};

use sha2::{Digest, Sha256};

/// The length of a key's digest in bytes: 128 bits.
pub(crate) const DIGEST_BYTES: usize = 16;

/// What a request is counted under: a digest of constant length, the same on every server.
///
/// Different values give different keys, whatever they consist of; a value given as text and the same value given as
/// an address are different too. The value itself cannot be read from the key, and the key shows nothing in a log.
///
/// ```
/// # use rateguard::Key;
/// let user = Key::from("user-42");
/// let both = Key::from_parts(["tenant-7", "user-42"]);
/// # assert_ne!(user, both);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub(super) digest: [u8; DIGEST_BYTES],
}

impl Key {
    /// A key of several parts: `["a", "bc"]` and `["ab", "c"]` are different keys.
    pub fn from_parts<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        Self::tagged("parts", parts)
    }

    /// A key of several keys: callers are counted together if all of them are the same.
    pub(crate) fn combined(keys: &[Self]) -> Self {
        Self::tagged("combined", keys.iter().map(|key| key.digest))
    }

    /// The key that all requests share.
    #[must_use]
    pub fn global() -> Self {
        Self::tagged("global", [""; 0])
    }

    /// The digest of a tag, which keeps kinds of keys apart, and of any number of parts. Each part is preceded by its
    /// length, so that no two lists of parts give the same bytes.
    pub(crate) fn tagged<P: AsRef<[u8]>>(
        tag: &'static str,
        parts: impl IntoIterator<Item = P>,
    ) -> Self {
        let mut hasher = Sha256::new();
        let mut add = |part: &[u8]| {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        };
        add(tag.as_bytes());
        for part in parts {
            add(part.as_ref());
        }
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&hasher.finalize()[..DIGEST_BYTES]);
        Self { digest }
    }

    pub(crate) fn digest(&self) -> &[u8; DIGEST_BYTES] {
        &self.digest
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The digest of an address can be found by trying all addresses.
        f.write_str("Key(…)")
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<&String> for Key {
    fn from(text: &String) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<Cow<'_, str>> for Key {
    fn from(text: Cow<'_, str>) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(&*bytes)
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self::tagged("value", [bytes])
    }
}

/// The address as it is, without regard to networks.
impl From<IpAddr> for Key {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::tagged("ipv4", [v4.octets()]),
            IpAddr::V6(v6) => Self::tagged("ipv6", [v6.octets()]),
        }
    }
}

macro_rules! from_integers {
    ($($integer:ty)*) => {$(
        /// The number in decimal, as text.
        impl From<$integer> for Key {
            fn from(number: $integer) -> Self {
                Self::from(number.to_string())
            }
        }
    )*};
}

from_integers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

macro_rules! from_tuples {
    ($($($part:ident)*;)*) => {$(
        /// A key of several parts, each of which may be anything that a key is made from.
        #[allow(non_snake_case, reason = "a part is called as its type")]
        impl<$($part: Into<Key>),*> From<($($part,)*)> for Key {
            fn from(($($part,)*): ($($part,)*)) -> Self {
                Self::combined(&[$($part.into()),*])
            }
        }
    )*};
}

from_tuples! {
    A B;
    A B C;
    A B C D;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_are_the_same_on_every_server() {
        // Changing the layout means that servers of two versions no longer share a limit.
        // The first half of SHA-256 over 5_u64, "value", 7_u64, "user-42".
        let expected = 0x3d96e352bbde918d06f1a23d15894dc9_u128.to_be_bytes();
        assert_eq!(Key::from("user-42").digest, expected);
    }

    #[test]
    fn values_that_look_alike_have_different_keys() {
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        let keys = [
            Key::from("127.0.0.1"),
            Key::from(address),
            Key::from_parts(["127.0.0.1"]),
            Key::from_parts(["127.", "0.0.1"]),
            Key::from_parts(["127.0.0.1", ""]),
            Key::from_parts([""; 0]),
            Key::from_parts([""]),
            Key::from(("127.0.0.1", "")),
            Key::from(("", "127.0.0.1")),
            Key::from(("127.0.0.1", "", "")),
            Key::from((("127.0.0.1", ""), "")),
            Key::global(),
            Key::from("global"),
            Key::from(""),
        ];
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    }

    #[test]
    fn a_mapped_address_is_the_address_that_it_carries() {
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        let plain: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!(Key::from(mapped), Key::from(plain));
    }

    #[test]
    fn a_number_is_its_decimal_text() {
        assert_eq!(Key::from(42_u64), Key::from("42"));
        assert_eq!(Key::from(-1_i64), Key::from("-1"));
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        assert_eq!(format!("{:?}", Key::from("secret")), "Key(…)");
    }
}
