//! Finds the IPv4 address that is embedded in an IPv6 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the IPv4 address in an IPv4-mapped or NAT64 address. Returns any other address unchanged.
///
/// A dual-stack socket reports an IPv4 client with an IPv4-mapped address (`::ffff:192.0.2.7`). A NAT64 address
/// comes from a translator in the server's own network, because networks do not route the NAT64 prefixes to each
/// other (RFC 6052, section 3.1, and RFC 8215). So a client cannot forge an IPv4-mapped or NAT64 address, and an
/// access list can allow the IPv4 address in it.
pub fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => {
            v6.to_ipv4_mapped().or_else(|| translated(v6)).map_or(address, IpAddr::V4)
        }
        IpAddr::V4(_) => address,
    }
}

/// Returns the address of an IPv4 client behind a NAT64 translator, if `address` is in `64:ff9b::/96` or in a /96 of
/// `64:ff9b:1::/48`.
///
/// In `64:ff9b:1::/48`, a translator may also use a prefix that is shorter than 96 bits (RFC 6052, section 2.2). In
/// this case, a part of the IPv4 address is before bit 96, and bits 64 to 95 are usually not zero, so the result is
/// `None`.
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let is_translated = matches!(
        address.segments(),
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0x64, 0xff9b, 1, _, 0, 0, _, _]
    );
    is_translated.then(|| low_bits(address))
}

/// Returns whether a network that starts at this address contains addresses of NAT64 translators.
pub(super) fn is_of_translators(first: Ipv6Addr) -> bool {
    translated(first).is_some() || matches!(first.segments(), [0x64, 0xff9b, 1, ..])
}

/// Returns the IPv4 address of a client that uses a tunnel: 6to4 (`2002::/16`, RFC 3056) or Teredo (`2001::/32`,
/// RFC 4380).
///
/// With 6to4, the owner of one IPv4 address has 65,536 networks with a /64 prefix, so such a client is counted and
/// denied by its IPv4 address. Any tunnel relay can write any IPv4 address, so an access list never allows this IPv4
/// address, and it is never trusted as a proxy.
pub(crate) fn tunnel_endpoint(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    match v6.segments() {
        [0x2002, high, low, ..] => Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
        // Teredo inverts the bits of the client's address, because NAT devices may rewrite every address that they
        // find in a packet.
        [0x2001, 0, ..] => Some(Ipv4Addr::from(!u32::from(low_bits(v6)))),
        _ => None,
    }
}

fn low_bits(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_reads_mapped_and_nat64_addresses_only() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("64:ff9b::192.0.2.7", "192.0.2.7"),
            ("64:ff9b:1::192.0.2.7", "192.0.2.7"),
            ("64:ff9b:1:abcd::192.0.2.7", "192.0.2.7"),
            // These addresses have a NAT64 prefix of 48 or 64 bits, followed by 192.0.2.7.
            ("64:ff9b:1:c000:2:700::", "64:ff9b:1:c000:2:700::"),
            ("64:ff9b:1:0:c0:2:700:0", "64:ff9b:1:0:c0:2:700:0"),
            // These addresses are similar to NAT64 addresses, but are not NAT64 addresses.
            ("64:ff9b:2::192.0.2.7", "64:ff9b:2::192.0.2.7"),
            ("64:ff9b::1:0:192.0.2.7", "64:ff9b::1:0:192.0.2.7"),
            ("64:ff9c::192.0.2.7", "64:ff9c::192.0.2.7"),
            ("::192.0.2.7", "::192.0.2.7"),
            ("2002:c000:207::1", "2002:c000:207::1"),
            ("2001:0:1:2:3:4:3fff:fdf8", "2001:0:1:2:3:4:3fff:fdf8"),
        ] {
            let [address, expected] = [address, expected].map(|it| it.parse::<IpAddr>().unwrap());
            assert_eq!(canonical(address), expected, "{address}");
        }
    }

    #[test]
    fn tunnel_endpoint_reads_6to4_and_teredo_addresses_only() {
        for (address, expected) in [
            ("2002:c000:207::1", Some("192.0.2.7")),
            ("2002:c000:207:ffff::1", Some("192.0.2.7")),
            ("2001:0:1:2:3:4:3fff:fdf8", Some("192.0.2.7")),
            ("2001:db8::1", None),
            ("2003:c000:207::1", None),
            ("64:ff9b::192.0.2.7", None),
            ("192.0.2.7", None),
        ] {
            let endpoint = tunnel_endpoint(address.parse().unwrap());
            assert_eq!(endpoint, expected.map(|it| it.parse().unwrap()), "{address}");
        }
    }
}
