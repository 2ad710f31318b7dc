//! A key: the parts that identify who or what is counted, and their digest.

use std::{borrow::Cow, net::IpAddr, ops::Range};

use sha2::{Digest, Sha256};

use super::network::KeyNetwork;

/// The length of a key's digest in bytes: 128 bits.
pub(crate) const DIGEST_BYTES: usize = 16;

/// Identifies who or what is counted, such as a user, a tenant or an address.
///
/// Different values give different keys. A text and an address with the same notation are different values, too. A
/// store that several servers share receives only the digest of a key, which is the same on every server: the first 128
/// bits of a SHA-256. The `Debug` output of a key does not show its value.
///
/// ```
/// # use actix_rateguard_core::Key;
/// let user = Key::from("user-42");
/// let both = Key::from_parts(["tenant-7", "user-42"]);
/// # assert_ne!(user, both);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The parts of the key if they fit, or else the digest. Most keys are short, and a digest costs more than a whole
    /// check in memory, so it is computed only when a store needs it. Equal keys have equal bytes.
    ///
    /// The first byte is the number of used bytes after it, or [`DIGESTED`]. Each part follows its length, which takes
    /// one byte. The other bytes are zero, except for the last four: if the parts do not need them, they contain the
    /// network of the client, which is not a part of the key's identity.
    bytes: [u8; KEY_BYTES],
}

/// The size of a cache line of most processors.
pub(crate) const KEY_BYTES: usize = 64;

/// The location of the network. The bytes before it are read in words of 8 bytes, so a key has no network if its parts
/// reach into the last word.
const NETWORK: Range<usize> = KEY_BYTES - 4..KEY_BYTES;

/// This value instead of a length means that a digest follows.
const DIGESTED: u8 = u8::MAX;

impl Key {
    /// A key with several parts. The boundaries count: `["a", "bc"]` and `["ab", "c"]` are different keys.
    pub fn from_parts<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        Self::tagged("parts", parts)
    }

    /// A key that combines several keys. Two combined keys are equal if all of their keys are equal.
    #[doc(hidden)]
    pub fn combined(keys: &[Self]) -> Self {
        let networks = keys.iter().map(Self::network);
        let network =
            networks.reduce(|one, next| if one == KeyNetwork::UNKNOWN { next } else { one });
        Self::tagged("combined", keys.iter().map(Self::digest))
            .in_network(network.unwrap_or(KeyNetwork::UNKNOWN))
    }

    /// The same key with this network of the client. Equal keys must have the same network.
    pub(crate) fn in_network(mut self, network: KeyNetwork) -> Self {
        let (_, used) = self.bytes();
        if used.next_multiple_of(8) <= NETWORK.start {
            self.bytes[NETWORK].copy_from_slice(&network.to_bytes());
        }
        self
    }

    /// The network of the client; `UNKNOWN` if the key does not contain one.
    pub(crate) fn network(&self) -> KeyNetwork {
        let (_, used) = self.bytes();
        match self.bytes.last_chunk() {
            Some(network) if used <= NETWORK.start => KeyNetwork::from_bytes(*network),
            _ => KeyNetwork::UNKNOWN,
        }
    }

    /// The key that all requests share.
    #[must_use]
    pub fn global() -> Self {
        Self::tagged("global", [""; 0])
    }

    /// A key with a tag and any number of parts. The tag separates kinds of keys.
    #[doc(hidden)]
    pub fn tagged<P: AsRef<[u8]>>(tag: &'static str, parts: impl IntoIterator<Item = P>) -> Self {
        let mut key = Self { bytes: [0; KEY_BYTES] };
        let mut hasher = None;
        let mut add = |part: &[u8]| {
            if hasher.is_none() && !key.push(part) {
                hasher = Some(key.hasher());
            }
            if let Some(hasher) = &mut hasher {
                add_to(hasher, part);
            }
        };
        add(tag.as_bytes());
        for part in parts {
            add(part.as_ref());
        }
        hasher.map_or(key, |hasher| Self::of_digest(&hasher.finalize()))
    }

    /// A key that contains only the first 128 bits of this digest.
    pub(super) fn of_digest(digest: &[u8]) -> Self {
        let mut bytes = [0; KEY_BYTES];
        bytes[0] = DIGESTED;
        bytes[1..=DIGEST_BYTES].copy_from_slice(&digest[..DIGEST_BYTES]);
        Self { bytes }
    }

    /// The digest of the parts. Each part is hashed after its length, so different lists of parts never give the same
    /// bytes.
    pub(crate) fn digest(&self) -> [u8; DIGEST_BYTES] {
        let mut digest = [0; DIGEST_BYTES];
        if self.bytes[0] == DIGESTED {
            digest.copy_from_slice(&self.bytes[1..=DIGEST_BYTES]);
        } else {
            digest.copy_from_slice(&self.hasher().finalize()[..DIGEST_BYTES]);
        }
        digest
    }

    /// The key that contains only the digest, for stores that use the digest several times.
    pub(crate) fn digested(&self) -> Self {
        Self::of_digest(&self.digest()).in_network(self.network())
    }

    /// The bytes that identify the key, and their number. They are padded with zeros to the next multiple of 8 bytes.
    pub(crate) fn bytes(&self) -> (&[u8; KEY_BYTES], usize) {
        let used = if self.bytes[0] == DIGESTED { DIGEST_BYTES } else { self.bytes[0].into() };
        (&self.bytes, 1 + used)
    }

    /// Adds a part. Returns `false` if there is no space for it.
    fn push(&mut self, part: &[u8]) -> bool {
        let start = 1 + usize::from(self.bytes[0]);
        let end = start + 1 + part.len();
        if end > KEY_BYTES {
            return false;
        }
        self.bytes[start] = part.len() as u8;
        self.bytes[start + 1..end].copy_from_slice(part);
        self.bytes[0] = (end - 1) as u8;
        true
    }

    /// A hasher that has processed the parts.
    fn hasher(&self) -> Sha256 {
        let mut hasher = Sha256::new();
        let mut remaining = &self.bytes[1..=usize::from(self.bytes[0])];
        while let [length, rest @ ..] = remaining {
            let (part, rest) = rest.split_at(usize::from(*length));
            add_to(&mut hasher, part);
            remaining = rest;
        }
        hasher
    }
}

fn add_to(hasher: &mut Sha256, part: &[u8]) {
    hasher.update((part.len() as u64).to_le_bytes());
    hasher.update(part);
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not even the digest is shown: the address of a digest can be found by trying all addresses.
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

/// The key of a single address. It does not combine the addresses of an IPv6 network.
impl From<IpAddr> for Key {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::tagged("ipv4", [v4.octets()]),
            IpAddr::V6(v6) => Self::tagged("ipv6", [v6.octets()]),
        }
        .in_network(KeyNetwork::of(address))
    }
}

macro_rules! from_integers {
    ($($integer:ty)*) => {$(
        /// The key of the number in decimal text.
        impl From<$integer> for Key {
            fn from(number: $integer) -> Self {
                Self::from(itoa::Buffer::new().format(number))
            }
        }
    )*};
}

from_integers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

macro_rules! from_tuples {
    ($($($part:ident)*;)*) => {$(
        /// A key that combines several values, each of which converts into a key.
        #[allow(non_snake_case, reason = "a part has the name of its type parameter")]
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
    fn digests_of_keys_are_stable() {
        // If the layout changes, servers with two versions of this crate do not share counts.
        // The first half of the SHA-256 of 5_u64, "value", 7_u64, "user-42".
        let expected = 0x3d96e352bbde918d06f1a23d15894dc9_u128.to_be_bytes();
        assert_eq!(Key::from("user-42").digest(), expected);
    }

    #[test]
    fn digest_does_not_depend_on_when_it_is_computed() {
        for length in 0..200 {
            let value = "x".repeat(length);
            let mut hasher = Sha256::new();
            add_to(&mut hasher, b"value");
            add_to(&mut hasher, value.as_bytes());
            let key = Key::from(value);
            assert_eq!(key.digest(), hasher.finalize()[..DIGEST_BYTES], "{length}");
            assert_eq!(key.bytes[0] == DIGESTED, length > KEY_BYTES - 8, "{length}");
        }
    }

    #[test]
    fn similar_values_have_different_keys() {
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
    fn mapped_address_has_the_key_of_the_ipv4_address() {
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        let plain: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!(Key::from(mapped), Key::from(plain));
    }

    #[test]
    fn digests_and_combinations_preserve_the_network() {
        let address: IpAddr = "2001:db8:1::1".parse().unwrap();
        let (key, network) = (Key::from(address), KeyNetwork::of(address));
        assert_ne!(network, KeyNetwork::UNKNOWN);
        let secret = crate::key::KeySecret::new(b"sixteen bytes...").unwrap();
        let combined = Key::from((Key::from("ann"), key));
        for key in [key, key.digested(), secret.seal(&key), combined, combined.digested()] {
            assert_eq!(key.network(), network);
        }
        // The network is not a part of the digest.
        assert_eq!(key.digest(), Key::tagged("ipv6", [address_bytes(address)]).digest());
        for length in 0..200 {
            let value = "\u{ff}".repeat(length);
            assert_eq!(Key::from(value).network(), KeyNetwork::UNKNOWN, "{length}");
        }
    }

    fn address_bytes(address: IpAddr) -> [u8; 16] {
        let IpAddr::V6(v6) = address else { panic!() };
        v6.octets()
    }

    #[test]
    fn number_has_the_key_of_its_decimal_text() {
        assert_eq!(Key::from(42_u64), Key::from("42"));
        assert_eq!(Key::from(-1_i64), Key::from("-1"));
    }

    #[test]
    fn debug_output_does_not_contain_the_value() {
        assert_eq!(format!("{:?}", Key::from("secret")), "Key(…)");
    }
}
