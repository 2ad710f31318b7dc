//! The network of a key's client.

use std::net::IpAddr;

/// A wide network, within which one owner may create many keys: the /16 of an IPv4 address, or the /29 of an IPv6
/// address.
///
/// A provider gets at most a /29 of IPv6 without a justification (RIPE-738, section 5.1), so all addresses of an
/// attacker are in one network. A large provider has a /16 of IPv4, which allows at most 65,536 keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyNetwork(u32);

impl KeyNetwork {
    /// The network of all keys without an address.
    pub(crate) const UNKNOWN: Self = Self(0);

    /// The network of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_bits() >> 16),
            // The numbers of `::/16` are used for IPv4; no IPv6 client has an address in it.
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
