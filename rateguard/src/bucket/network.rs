//! The network that a key comes from, as far as it is known.

use std::net::IpAddr;

/// A wide network, within which one owner may invent keys: the /16 of an IPv4 address, the /29 of an IPv6 one.
///
/// A /29 is the most IPv6 addresses that a provider gets without giving reasons (RIPE-738, section 5.1), so an attacker who
/// moves within all that it has is seen as one. Of IPv4 a /16 is what a large provider has, and no more than 65,536 keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyNetwork(u32);

impl KeyNetwork {
    /// That of all keys that do not tell where they come from.
    pub(crate) const UNKNOWN: Self = Self(0);

    /// The network of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_bits() >> 16),
            // No client has an address in `::/16`, where the numbers are those of IPv4.
            IpAddr::V6(v6) => Self((v6.to_bits() >> 96) as u32 & !0b111),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }
}
