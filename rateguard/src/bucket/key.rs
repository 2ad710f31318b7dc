//! Who is counted: what a key consists of, and its digest.

use std::{borrow::Cow, net::IpAddr, ops::Range};

use sha2::{Digest, Sha256};

use super::network::KeyNetwork;

/// The length of a key's digest in bytes: 128 bits.
pub(crate) const DIGEST_BYTES: usize = 16;

/// What a request is counted under: in a store of several servers a digest of constant length, the same on each of them.
///
/// Different values give different keys, whatever they consist of; a value given as text and the same value given as
/// an address are different too. Redis never sees the value itself, only its digest, and the key shows nothing in a log.
///
/// ```
/// # use rateguard::Key;
/// let user = Key::from("user-42");
/// let both = Key::from_parts(["tenant-7", "user-42"]);
/// # assert_ne!(user, both);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// What it consists of if that is short, as most is: digesting it costs more than a whole check in memory does, so it
    /// waits until a store asks for it. Else the digest. Equal keys have equal bytes.
    ///
    /// The first byte is the number of those that follow, or [`DIGESTED`]; then comes each part with its length in a byte
    /// before it. The rest is zero, but for the last four: if they are not needed, they have the network that the key comes
    /// from, and say nothing about which key it is.
    bytes: [u8; KEY_BYTES],
}

/// As much as fits into a line of the processor's cache.
pub(crate) const KEY_BYTES: usize = 64;

/// The place of the network. What is before it is read in words of eight bytes, so keys that reach into its word have none.
const NETWORK: Range<usize> = KEY_BYTES - 4..KEY_BYTES;

/// In the place of a length: a digest follows.
const DIGESTED: u8 = u8::MAX;

impl Key {
    /// A key of several parts: `["a", "bc"]` and `["ab", "c"]` are different keys.
    pub fn from_parts<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        Self::tagged("parts", parts)
    }

    /// A key of several keys: callers are counted together if all of them are the same.
    pub(crate) fn combined(keys: &[Self]) -> Self {
        let networks = keys.iter().map(Self::network);
        let network =
            networks.reduce(|one, next| if one == KeyNetwork::UNKNOWN { next } else { one });
        Self::tagged("combined", keys.iter().map(Self::digest))
            .in_network(network.unwrap_or(KeyNetwork::UNKNOWN))
    }

    /// The same key, which comes from this network. It has to be the same for equal keys.
    pub(crate) fn in_network(mut self, network: KeyNetwork) -> Self {
        let (_, used) = self.bytes();
        if used.next_multiple_of(8) <= NETWORK.start {
            self.bytes[NETWORK].copy_from_slice(&network.to_bytes());
        }
        self
    }

    /// The network that it comes from, if it tells.
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

    /// The key of a tag, which keeps kinds of keys apart, and of any number of parts.
    pub(crate) fn tagged<P: AsRef<[u8]>>(
        tag: &'static str,
        parts: impl IntoIterator<Item = P>,
    ) -> Self {
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

    /// A key that is known by the beginning of this digest alone.
    pub(super) fn of_digest(digest: &[u8]) -> Self {
        let mut bytes = [0; KEY_BYTES];
        bytes[0] = DIGESTED;
        bytes[1..=DIGEST_BYTES].copy_from_slice(&digest[..DIGEST_BYTES]);
        Self { bytes }
    }

    /// The digest of its parts. Each is preceded by its length, so that no two lists of parts give the same bytes.
    pub(crate) fn digest(&self) -> [u8; DIGEST_BYTES] {
        let mut digest = [0; DIGEST_BYTES];
        if self.bytes[0] == DIGESTED {
            digest.copy_from_slice(&self.bytes[1..=DIGEST_BYTES]);
        } else {
            digest.copy_from_slice(&self.hasher().finalize()[..DIGEST_BYTES]);
        }
        digest
    }

    /// The same key, known by its digest alone: for stores that ask for it, and more than once.
    pub(crate) fn digested(&self) -> Self {
        Self::of_digest(&self.digest()).in_network(self.network())
    }

    /// Bytes that no other key has. Up to the next whole word of eight bytes, zeros that say nothing are behind them.
    pub(crate) fn bytes(&self) -> (&[u8; KEY_BYTES], usize) {
        let used = if self.bytes[0] == DIGESTED { DIGEST_BYTES } else { self.bytes[0].into() };
        (&self.bytes, 1 + used)
    }

    /// Adds a part, if there is room for it.
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

    /// What has come of the parts that it consists of.
    fn hasher(&self) -> Sha256 {
        let mut hasher = Sha256::new();
        let mut left = &self.bytes[1..=usize::from(self.bytes[0])];
        while let [length, behind @ ..] = left {
            let (part, behind) = behind.split_at(usize::from(*length));
            add_to(&mut hasher, part);
            left = behind;
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
        .in_network(KeyNetwork::of(address))
    }
}

macro_rules! from_integers {
    ($($integer:ty)*) => {$(
        /// The number in decimal, as text.
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
        assert_eq!(Key::from("user-42").digest(), expected);
    }

    #[test]
    fn a_digest_is_the_same_whether_it_was_taken_at_once_or_later() {
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
    fn network_of_a_key_is_kept_by_digests_and_combinations() {
        let address: IpAddr = "2001:db8:1::1".parse().unwrap();
        let (key, network) = (Key::from(address), KeyNetwork::of(address));
        assert_ne!(network, KeyNetwork::UNKNOWN);
        let secret = crate::bucket::KeySecret::new(b"sixteen bytes...").unwrap();
        let combined = Key::from((Key::from("ann"), key));
        for key in [key, key.digested(), secret.seal(&key), combined, combined.digested()] {
            assert_eq!(key.network(), network);
        }
        // It says nothing about which key it is.
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
    fn a_number_is_its_decimal_text() {
        assert_eq!(Key::from(42_u64), Key::from("42"));
        assert_eq!(Key::from(-1_i64), Key::from("-1"));
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        assert_eq!(format!("{:?}", Key::from("secret")), "Key(…)");
    }
}
