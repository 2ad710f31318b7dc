//! What is counted as one client.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    embedded::{canonical, is_of_translators, tunnel_endpoint},
    error::{ClientAddressError, Problem, refuse},
    network_keys::SharedKey,
};
use crate::{Key, bucket::KeyNetwork};

/// An IPv4 address, or the network of an IPv6 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    V4(Ipv4Addr),
    V6 {
        first: Ipv6Addr,
        bits: u8,
    },
    /// A key that an IPv6 client shares with others of a wide network.
    SharedV6(SharedKey),
    /// The connection has no address, as on a Unix socket.
    None,
}

impl Network {
    /// The network of this address, of so many bits if it is an IPv6 one without an IPv4 address inside.
    pub(crate) fn of(address: Option<IpAddr>, bits: u8) -> Self {
        let Some(address) = address.map(canonical) else { return Self::None };
        match tunnel_endpoint(address).map_or(address, IpAddr::V4) {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::V6 {
                // The prefix is in range.
                first: Ipv6Net::new(v6, bits).map_or(v6, |network| network.network()),
                bits,
            },
        }
    }

    /// The key of this network, among the keys with this tag.
    pub(crate) fn key(self, tag: &'static str) -> Key {
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

/// An address, or a network of addresses; what is IPv4 in the notation of IPv6 as the IPv4 that it is.
///
/// `None` also for the network of a whole NAT64 prefix: its clients are known by their IPv4 addresses, which are all there are.
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
    // Clients are compared by their canonical addresses.
    match canonical(IpAddr::V6(v6.network())) {
        IpAddr::V4(v4) if v6.prefix_len() >= 96 => {
            Ipv4Net::new(v4, v6.prefix_len() - 96).ok().map(IpNet::V4)
        }
        _ => Some(network),
    }
}

/// A proxy's address, or a network of proxies.
pub(super) fn parse_proxy(text: &str) -> Result<IpNet, ClientAddressError> {
    let network = parse_network(text).ok_or_else(|| refuse(text, Problem::Proxy))?;
    if network.prefix_len() == 0 {
        return Err(refuse(text, Problem::Everybody));
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
    fn an_ipv6_network_is_one_client() {
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        let wide = |address: &str| Network::of(address.parse().ok(), 48);
        assert_eq!(wide("2001:db8:1:2::1"), wide("2001:db8:1:3::1"));
        // Networks of two sizes are two clients, though they begin alike.
        assert_ne!(wide("2001:db8:1::").key("ip"), of("2001:db8:1::").key("ip"));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_client_and_shares_with_no_other() {
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("::ffff:192.0.2.7"), of("::ffff:192.0.2.8"));
        assert_ne!(of("::1"), of("::ffff:192.0.2.7"));
        assert_ne!(of("::1"), of("0.0.0.1"));
    }

    #[test]
    fn clients_of_translators_and_tunnels_are_counted_by_their_ipv4_address() {
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
    fn networks_in_the_notation_of_ipv6_are_the_ipv4_networks_inside() {
        for (text, expected) in [
            ("::ffff:192.0.2.7", Some("192.0.2.7/32")),
            ("::ffff:192.0.2.7/120", Some("192.0.2.0/24")),
            ("64:ff9b::192.0.2.7", Some("192.0.2.7/32")),
            ("64:ff9b::192.0.2.7/120", Some("192.0.2.0/24")),
            ("64:ff9b:1:2::10.1.2.3/104", Some("10.0.0.0/8")),
            // All IPv4 addresses, or none at all.
            ("64:ff9b::/96", None),
            ("64:ff9b::/64", None),
            ("64:ff9b:1::/48", None),
            ("64:ff9b:1:c000::/64", None),
            ("64:ff9b::/32", None),
            // What has no client known by an IPv4 address in it, and what has others too.
            ("2002:c000:207::/48", Some("2002:c000:207::/48")),
            ("::/0", Some("::/0")),
        ] {
            let network = parse_network(text).map(|network| network.to_string());
            assert_eq!(network.as_deref(), expected, "{text}");
        }
    }
}
