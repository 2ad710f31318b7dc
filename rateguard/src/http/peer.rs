//! The client's address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::HttpRequest;

use crate::{Key, guard::Line};

/// What is counted as one client: an IPv4 address, or the /64 network of an IPv6 one, because that much is handed out
/// to one customer (RFC 6177 and the practice of providers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    V4(Ipv4Addr),
    V6([u8; 8]),
    /// The connection has no address, as on a Unix socket.
    None,
}

/// The network of the TCP peer. No header is read.
pub(crate) fn network(request: &HttpRequest) -> Network {
    match request.peer_addr() {
        Some(peer) => Network::of(peer.ip()),
        None => {
            static LINE: Line = Line::new();
            if LINE.say().is_some() {
                log::warn!(
                    target: "rateguard",
                    "requests without a peer address (a Unix socket?) are limited all together"
                );
            }
            Network::None
        }
    }
}

impl Network {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::V6(first_half(v6)),
        }
    }

    /// The key of this network, among the keys with this tag.
    pub(crate) fn key(self, tag: &'static str) -> Key {
        match self {
            Self::V4(v4) => Key::tagged(tag, [b"4".as_slice(), &v4.octets()]),
            Self::V6(network) => Key::tagged(tag, [b"6".as_slice(), &network]),
            Self::None => Key::tagged(tag, [b"none"]),
        }
    }
}

fn first_half(address: Ipv6Addr) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = address.octets();
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Network {
        Network::of(address.parse().unwrap())
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_client_and_shares_with_no_other() {
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("::ffff:192.0.2.7"), of("::ffff:192.0.2.8"));
        assert_ne!(of("::1"), of("::ffff:192.0.2.7"));
        assert_ne!(of("::1"), of("0.0.0.1"));
    }
}
