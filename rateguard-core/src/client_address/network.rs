//! Determines the network whose addresses are counted as one client.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    embedded::{canonical, is_of_translators, tunnel_endpoint},
    error::{AddressProblem, ClientAddressError},
    shared_key::SharedKey,
};
use crate::{Key, key::KeyNetwork};

/// The addresses that are counted as one client: an IPv4 address, or an IPv6 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 network.
    V6 {
        /// The first address of the network.
        first: Ipv6Addr,
        /// The prefix length of the network in bits.
        bits: u8,
    },
    /// A shared key. Several IPv6 clients of one wide network are counted under this key.
    SharedV6(SharedKey),
    /// The connection has no address, for example because it uses a Unix socket.
    None,
}

impl Network {
    /// Returns the network that contains an address. `bits` is the prefix length for IPv6 addresses, with two
    /// exceptions. An IPv6 address that contains an IPv4 address is counted as this IPv4 address. A link-local address
    /// is counted by its full address, because all hosts of a link have the same prefix of 64 bits (RFC 4291, section
    /// 2.5.6).
    pub fn of(address: Option<IpAddr>, bits: u8) -> Self {
        let Some(address) = address.map(canonical) else { return Self::None };
        match tunnel_endpoint(address).map_or(address, IpAddr::V4) {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Self::V6 { first: v6, bits: 128 },
            IpAddr::V6(v6) => Self::V6 {
                // All callers have already validated the prefix length, so `Ipv6Net::new` does not fail.
                first: Ipv6Net::new(v6, bits).map_or(v6, |network| network.network()),
                bits,
            },
        }
    }

    /// Returns the key for this network. Keys with different tags are different, so keys for different purposes do
    /// not collide.
    pub fn key(self, tag: &'static str) -> Key {
        match self {
            Self::V4(v4) => Key::tagged(tag, [b"4".as_slice(), &v4.octets()])
                .in_network(KeyNetwork::of(v4.into())),
            Self::V6 { first, bits } => {
                Key::tagged(tag, [b"6".as_slice(), &[bits], &first.octets()])
                    .in_network(KeyNetwork::of(first.into()))
            }
            Self::SharedV6(shared) => {
                let SharedKey { first, bits, client_bits, number, .. } = shared;
                let parts = [
                    b"6 shared".as_slice(),
                    &[bits, client_bits],
                    &first.octets(),
                    &number.to_be_bytes(),
                ];
                Key::tagged(tag, parts).in_network(KeyNetwork::of(first.into()))
            }
            Self::None => Key::tagged(tag, [b"none"]),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(v4) => v4.fmt(f),
            Self::V6 { first, bits } => write!(f, "{first}/{bits}"),
            Self::SharedV6(SharedKey { first, bits, number, of, .. }) => {
                write!(f, "{first}/{bits}, shared key {} of {of}", number + 1)
            }
            Self::None => f.write_str("none"),
        }
    }
}

/// Parses an address or a network. An IPv4-mapped or NAT64 address is returned as the IPv4 address that it
/// contains.
///
/// The result is `None` if the text is invalid, or if the text is a network of NAT64 addresses with a prefix of at
/// most 96 bits. A NAT64 client is compared by its IPv4 address, so such a network would match all IPv4 clients or
/// none.
pub(crate) fn parse_network(text: &str) -> Option<IpNet> {
    let network = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map(|network| network.trunc())
        .ok()?;
    let IpNet::V6(v6) = network else { return Some(network) };
    if v6.prefix_len() <= 96 && is_of_translators(v6.network()) {
        return None;
    }
    // The network is compared with canonical client addresses, so the network must be canonical, too.
    match canonical(IpAddr::V6(v6.network())) {
        IpAddr::V4(v4) if v6.prefix_len() >= 96 => {
            Ipv4Net::new(v4, v6.prefix_len() - 96).ok().map(IpNet::V4)
        }
        _ => Some(network),
    }
}

/// Parses the address of a proxy, or the network that contains proxies.
pub(super) fn parse_proxy(text: &str) -> Result<IpNet, ClientAddressError> {
    let network =
        parse_network(text).ok_or_else(|| ClientAddressError::new(text, AddressProblem::Proxy))?;
    if network.prefix_len() == 0 {
        return Err(ClientAddressError::new(text, AddressProblem::AllAddresses));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Network {
        Network::of(address.parse().ok(), 64)
    }

    #[test]
    fn ipv6_network_is_one_client() {
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        let wide = |address: &str| Network::of(address.parse().ok(), 48);
        assert_eq!(wide("2001:db8:1:2::1"), wide("2001:db8:1:3::1"));
        // Two networks with the same first address and different prefix lengths are different clients.
        assert_ne!(wide("2001:db8:1::").key("ip"), of("2001:db8:1::").key("ip"));
    }

    #[test]
    fn mapped_address_is_the_ipv4_client() {
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("::ffff:192.0.2.7"), of("::ffff:192.0.2.8"));
        assert_ne!(of("::1"), of("::ffff:192.0.2.7"));
        assert_ne!(of("::1"), of("0.0.0.1"));
    }

    #[test]
    fn translator_and_tunnel_clients_count_by_ipv4_address() {
        for address in [
            "64:ff9b::192.0.2.7",
            "64:ff9b:1:2::192.0.2.7",
            "2002:c000:207::1",
            "2002:c000:207:ffff::1",
            "2001:0:1:2:3:4:3fff:fdf8",
        ] {
            assert_eq!(of(address), of("192.0.2.7"), "{address}");
            assert_eq!(of(address).key("ip"), of("192.0.2.7").key("ip"), "{address}");
        }
        assert_ne!(of("64:ff9b::192.0.2.7"), of("64:ff9b::192.0.2.8"));
        assert_ne!(of("2001:0:1:2:3:4:3fff:fdf8"), of("2001:0:1:2:3:4:3fff:fdf9"));
    }

    #[test]
    fn link_local_client_counts_by_its_full_address() {
        assert_ne!(of("fe80::1"), of("fe80::2"));
        assert_ne!(of("fe80::1").key("ip"), of("fe80::2").key("ip"));
        assert_eq!(of("fe80::1").to_string(), "fe80::1/128");
        // The prefix of `"ip/48"` does not group the hosts of a link either.
        assert_eq!(Network::of("febf::1".parse().ok(), 48), of("febf::1"));
        // These addresses are not link-local: the first is unique local, and the second is in the former site-local
        // range.
        for address in ["fd00::1", "fec0::1"] {
            assert_eq!(of(address).to_string(), format!("{address}/64").replace("::1", "::"));
        }
    }

    #[test]
    fn mapped_and_nat64_networks_are_parsed_as_ipv4_networks() {
        for (text, expected) in [
            ("::ffff:192.0.2.7", Some("192.0.2.7/32")),
            ("::ffff:192.0.2.7/120", Some("192.0.2.0/24")),
            ("64:ff9b::192.0.2.7", Some("192.0.2.7/32")),
            ("64:ff9b::192.0.2.7/120", Some("192.0.2.0/24")),
            ("64:ff9b:1:2::10.1.2.3/104", Some("10.0.0.0/8")),
            // A NAT64 network with a prefix of at most 96 bits is invalid.
            ("64:ff9b::/96", None),
            ("64:ff9b::/64", None),
            ("64:ff9b:1::/48", None),
            ("64:ff9b:1:c000::/64", None),
            ("64:ff9b::/32", None),
            // These networks are valid and returned unchanged: a 6to4 network, and a network that contains all
            // addresses, not only NAT64 addresses.
            ("2002:c000:207::/48", Some("2002:c000:207::/48")),
            ("::/0", Some("::/0")),
        ] {
            let network = parse_network(text).map(|network| network.to_string());
            assert_eq!(network.as_deref(), expected, "{text}");
        }
    }
}
