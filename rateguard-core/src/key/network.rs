//! Defines the wide network that contains the client of a key: a /16 in IPv4, or a /29 in IPv6.

use std::net::IpAddr;

/// A wide network in which one owner may create many keys. It is the /16 that contains an IPv4 address, or the /29 that
/// contains an IPv6 address.
///
/// Without a justification, a provider gets at most a /29 of IPv6 (RIPE-738, section 5.1), so all IPv6 addresses of
/// an attacker are in one such network. In IPv4, a large provider has a /16, so an attacker has at most 65,536 keys
/// in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyNetwork(u32);

impl KeyNetwork {
    /// The value for a key that has no address.
    pub(crate) const UNKNOWN: Self = Self(0);

    /// Returns the wide network that contains an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_bits() >> 16),
            // The numbers below 2^16 stand for IPv4 networks. As IPv6 networks, they would be in `::/16`, where no
            // IPv6 client has an address.
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
