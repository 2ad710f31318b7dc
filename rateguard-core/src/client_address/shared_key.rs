//! Defines a key that several clients of a wide IPv6 network share.

use std::net::Ipv6Addr;

/// A key that several clients of a wide IPv6 network share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedKey {
    /// The first address of the wide network.
    pub first: Ipv6Addr,
    /// The prefix length of the wide network in bits.
    pub bits: u8,
    /// The prefix length, in bits, of a network that is counted as one client.
    pub client_bits: u8,
    /// The index of this key among the shared keys of the wide network, from 0.
    pub number: u32,
    /// The number of shared keys that the wide network has.
    pub of: u32,
    /// The maximum number of clients in the wide network that have keys of their own.
    pub max_own: u32,
}
