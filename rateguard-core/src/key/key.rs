//! Defines keys and their digests. A key identifies a user, a tenant or an address whose requests are counted.

use std::{borrow::Cow, net::IpAddr, ops::Range};

use sha2::{Digest, Sha256};

use super::network::KeyNetwork;

/// The number of bytes in a key's digest. A digest has 128 bits.
pub(crate) const DIGEST_BYTES: usize = 16;

/// Identifies a user, a tenant, an address or something else whose requests are counted.
///
/// Different values give different keys. A text, a number and an address are different values: the text `"7"` and the
/// number 7 have different keys, and the text `"192.0.2.1"` and the address 192.0.2.1 also have different keys. So a
/// client that can choose a text cannot get the key of a client that has a number or an address as its key. Equal
/// numbers of different integer types have the same key, and a text has the same key as its bytes. A store that several
/// application servers share receives only the digest of a key. The digest is the first 128 bits of a SHA-256, and is
/// the same on every server. The `Debug` output of a key does not show its value.
///
/// ```
/// # use actix_rateguard_core::Key;
/// let user = Key::from("user-42");
/// let both = Key::from_parts(["tenant-7", "user-42"]);
/// # assert_ne!(user, both);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Contains the parts of the key if the parts fit, or else the digest of the key. Computing a digest takes
    /// longer than a whole check in memory, so the digest of a short key is computed only when a store needs it.
    /// Equal keys have equal bytes.
    ///
    /// The first byte is the number of used bytes after it, [`DIGESTED`], or [`HASHED`]. Before each part, one byte contains
    /// the number of bytes in the part. The last four bytes contain the client's network, unless the parts need
    /// these bytes. All unused bytes are zero.
    bytes: [u8; KEY_BYTES],
}

/// The size of a key in bytes. It is the size of a cache line in most processors.
pub(crate) const KEY_BYTES: usize = 64;

/// The range of the bytes that contain the client's network. If the parts use any of the last 8 bytes, the key has
/// no network, because the in-memory store reads the parts in words of 8 bytes.
const NETWORK: Range<usize> = KEY_BYTES - 4..KEY_BYTES;

/// The value of the first byte if a digest follows instead of parts.
const DIGESTED: u8 = u8::MAX;

/// The value of the first byte if the digest of a hashed key follows, which a guard must not hash again.
const HASHED: u8 = u8::MAX - 1;

impl Key {
    /// Creates a key from several parts. The boundaries between the parts matter: `["a", "bc"]` and `["ab", "c"]`
    /// are different keys.
    pub fn from_parts<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        Self::tagged("parts", parts)
    }

    /// Combines several keys into one key. The combined keys of two lists are equal if the lists contain equal keys
    /// in the same order.
    #[doc(hidden)]
    pub fn combined(keys: &[Self]) -> Self {
        let networks = keys.iter().map(Self::network);
        let network =
            networks.reduce(|one, next| if one == KeyNetwork::UNKNOWN { next } else { one });
        Self::tagged("combined", keys.iter().map(Self::digest))
            .in_network(network.unwrap_or(KeyNetwork::UNKNOWN))
    }

    /// Returns the same key with the network to which the client belongs. All calls for one client must set the same
    /// network, because the comparison of two keys includes the network.
    pub(crate) fn in_network(mut self, network: KeyNetwork) -> Self {
        let (_, used) = self.bytes();
        if used.next_multiple_of(8) <= NETWORK.start {
            self.bytes[NETWORK].copy_from_slice(&network.to_bytes());
        }
        self
    }

    /// Returns the network to which the client belongs; `UNKNOWN` if the key does not contain a network.
    pub(crate) fn network(&self) -> KeyNetwork {
        let (_, used) = self.bytes();
        match self.bytes.last_chunk() {
            Some(network) if used <= NETWORK.start => KeyNetwork::from_bytes(*network),
            _ => KeyNetwork::UNKNOWN,
        }
    }

    /// Returns the key that all requests share.
    #[must_use]
    pub fn global() -> Self {
        Self::tagged("global", [""; 0])
    }

    /// Creates a key from a tag and any number of parts. Keys with different tags are always different.
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

    /// Creates a key that contains only the first 128 bits of this digest.
    pub(crate) fn of_digest(digest: &[u8]) -> Self {
        let mut bytes = [0; KEY_BYTES];
        bytes[0] = DIGESTED;
        bytes[1..=DIGEST_BYTES].copy_from_slice(&digest[..DIGEST_BYTES]);
        Self { bytes }
    }

    /// Returns a hashed key in the form that a guard does not hash again.
    pub(crate) fn into_hashed(mut self) -> Self {
        if self.bytes[0] == DIGESTED {
            self.bytes[0] = HASHED;
        }
        self
    }

    /// Whether the key is already hashed with the secret of the guard.
    pub(crate) fn is_hashed(&self) -> bool {
        self.bytes[0] == HASHED
    }

    fn has_only_digest(&self) -> bool {
        self.bytes[0] >= HASHED
    }

    /// Returns the digest of the key's parts. The number of bytes in each part is hashed before the part, so two
    /// different lists of parts never give the same input to the hash.
    pub(crate) fn digest(&self) -> [u8; DIGEST_BYTES] {
        let mut digest = [0; DIGEST_BYTES];
        if self.has_only_digest() {
            digest.copy_from_slice(&self.bytes[1..=DIGEST_BYTES]);
        } else {
            digest.copy_from_slice(&self.hasher().finalize()[..DIGEST_BYTES]);
        }
        digest
    }

    /// Returns the same key with its digest in place of its parts. If a store needs the digest several times, the
    /// digest is then computed only once.
    pub(crate) fn digested(&self) -> Self {
        Self::of_digest(&self.digest()).in_network(self.network())
    }

    /// Returns all bytes of the key, and the number of leading bytes that identify the key. The bytes between this
    /// number and its next multiple of 8 are zero.
    pub(crate) fn bytes(&self) -> (&[u8; KEY_BYTES], usize) {
        let used = if self.has_only_digest() { DIGEST_BYTES } else { self.bytes[0].into() };
        (&self.bytes, 1 + used)
    }

    /// Returns the tag of the key and its other parts. `None` if the key has only a digest.
    #[cfg(feature = "statistics")]
    pub(crate) fn parts(&self) -> Option<impl Iterator<Item = &[u8]>> {
        if self.has_only_digest() {
            return None;
        }
        let mut remaining = &self.bytes[1..=usize::from(self.bytes[0])];
        Some(std::iter::from_fn(move || {
            let (length, rest) = remaining.split_first()?;
            let (part, rest) = rest.split_at(usize::from(*length));
            remaining = rest;
            Some(part)
        }))
    }

    /// Appends a part to the key. Returns `false` if the part does not fit.
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

    /// Returns a hasher to which all parts of the key have been added.
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
        // The output does not contain the digest. Otherwise an attacker could hash all addresses and find the
        // address that has this digest.
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

/// Creates the key of a single address. Each address of an IPv6 network has its own key.
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
        /// Creates the key of the number. Equal integers of different types have the same key. The text of the number
        /// has another key.
        impl From<$integer> for Key {
            fn from(number: $integer) -> Self {
                Self::tagged("number", [itoa::Buffer::new().format(number)])
            }
        }
    )*};
}

from_integers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

macro_rules! from_tuples {
    ($($($part:ident)*;)*) => {$(
        /// Converts each value into a key, and combines these keys into one key.
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
        // This is the first half of the SHA-256 of 5_u64, "value", 7_u64, "user-42". It must not change. Otherwise
        // application servers with different versions of this crate would not share counts.
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
            Key::from("7"),
            Key::from(7_u64),
            Key::from(-7_i64),
            Key::from(("7", 7)),
            Key::from((7, "7")),
            Key::from(("7", "7")),
            Key::from((7, 7)),
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
        // The digest is the same with and without a network.
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
    fn equal_numbers_of_different_types_have_one_key() {
        assert_eq!(Key::from(42_u64), Key::from(42_i8));
        assert_eq!(Key::from(-1_i64), Key::from(-1_i128));
    }

    #[test]
    fn debug_output_does_not_contain_the_value() {
        assert_eq!(format!("{:?}", Key::from("secret")), "Key(…)");
    }
}
