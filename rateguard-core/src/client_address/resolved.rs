//! Defines the result of the search for a client's address. The result also says whether the address is reliable.

use std::net::IpAddr;

use actix_rateguard_grammar::IPV6_PREFIXES;

use super::{Network, tunnel_endpoint};
use crate::Key;

/// The result of the search for the client that sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedClient {
    /// The [canonical](super::canonical) address of the client; `None` if the connection has no address.
    pub address: Option<IpAddr>,
    /// Whether `address` belongs to a trusted proxy. This is the case if the search found no client behind the
    /// proxy. Also `true` if a trusted proxy on a Unix socket has sent no address, so that `address` is `None`.
    pub is_proxy: bool,
}

impl ResolvedClient {
    /// Returns whether an access list must not allow `key`, because it is the key of this address and the address is
    /// unreliable. An address is unreliable if it belongs to a proxy or if a tunnel relay can choose it.
    pub fn is_unreliable_key(self, key: &Key) -> bool {
        let is_unreliable = self.is_proxy || self.address.and_then(tunnel_endpoint).is_some();
        let is_address = |bits| Network::of(self.address, bits).key("ip") == *key;
        is_unreliable && IPV6_PREFIXES.into_iter().any(is_address)
    }
}

#[cfg(test)]
mod tests {
    use crate::ClientAddress;

    fn resolve(rule: &ClientAddress, peer: &str, lines: &[&str]) -> (String, bool) {
        let lines = lines.iter().map(|line| line.as_bytes());
        let client = rule.trace_address(peer.parse().ok(), lines, &mut ());
        (client.address.map_or("none".to_owned(), |it| it.to_string()), client.is_proxy)
    }

    #[test]
    fn client_without_a_valid_hop_is_a_proxy() {
        let rule = ClientAddress::behind(["10.0.0.0/8"]).unwrap();
        for (peer, lines, expected) in [
            ("192.0.2.1", &["10.0.0.9"][..], ("192.0.2.1", false)),
            ("10.0.0.1", &["198.51.100.1"], ("198.51.100.1", false)),
            ("10.0.0.1", &["198.51.100.1, 10.0.0.2"], ("198.51.100.1", false)),
            ("10.0.0.1", &[], ("10.0.0.1", true)),
            ("10.0.0.1", &["10.0.0.2"], ("10.0.0.2", true)),
            ("10.0.0.1", &["unknown"], ("10.0.0.1", true)),
            ("10.0.0.1", &["198.51.100.1, unknown"], ("10.0.0.1", true)),
            ("10.0.0.1", &["198.51.100.1, _hidden, 10.0.0.2"], ("10.0.0.2", true)),
            ("10.0.0.1", &[""], ("10.0.0.1", true)),
        ] {
            let (address, is_proxy) = resolve(&rule, peer, lines);
            assert_eq!((address.as_str(), is_proxy), expected, "{peer} {lines:?}");
        }
        // If the rule trusts all addresses, the leftmost address is the client. If the search could not read the
        // whole header, the result is a proxy.
        let all = ClientAddress::trusting_every_peer_dangerously();
        for (lines, expected) in [
            (&["198.51.100.1, 10.0.0.2"][..], ("198.51.100.1", false)),
            (&["198.51.100.1, unknown, 10.0.0.2"], ("10.0.0.2", true)),
            (&[], ("10.0.0.1", true)),
        ] {
            let (address, is_proxy) = resolve(&all, "10.0.0.1", lines);
            assert_eq!((address.as_str(), is_proxy), expected, "{lines:?}");
        }
    }

    #[test]
    fn only_the_end_of_a_long_header_is_read() {
        let rule = ClientAddress::behind(["10.0.0.0/8"]).unwrap();
        let client = ("198.51.100.1".to_owned(), false);
        let lost = |address: &str| (address.to_owned(), true);
        // The search reads at most 8 lines.
        let lines = |proxies: usize| {
            let mut lines = vec!["198.51.100.1"];
            lines.resize(1 + proxies, "10.0.0.2");
            resolve(&rule, "10.0.0.1", &lines)
        };
        assert_eq!(lines(7), client);
        assert_eq!(lines(8), lost("10.0.0.2"));
        // The search reads at most the last 1,024 bytes of the header, in one line or several. Proxies append their
        // entries at the end, so these entries are always in the part that is read, even if a client sends a long
        // header.
        let proxies = ",10.0.0.2".repeat(112);
        let line = |padding: usize| format!("{}198.51.100.1{proxies}", " ".repeat(padding));
        assert_eq!(line(4).len(), 1_024);
        assert_eq!(resolve(&rule, "10.0.0.1", &[&line(4)]), client);
        assert_eq!(resolve(&rule, "10.0.0.1", &[&line(5)]), lost("10.0.0.2"));
        assert_eq!(resolve(&rule, "10.0.0.1", &["198.51.100.1", &proxies[1..]]), client);
        assert_eq!(resolve(&rule, "10.0.0.1", &["198.51.100.1     ", &proxies[1..]]), client);
        let long = format!("198.51.100.1{}", " ".repeat(10));
        assert_eq!(resolve(&rule, "10.0.0.1", &[&long, &proxies[1..]]), lost("10.0.0.2"));
        let flood = "6.6.6.6,".repeat(500_000);
        assert_eq!(resolve(&rule, "10.0.0.1", &[&flood, "198.51.100.1"]), client);
        let flood = format!("{flood}198.51.100.1");
        assert_eq!(resolve(&rule, "10.0.0.1", &[&flood]), client);
        // The search does not use a truncated entry as an address.
        let cut = format!("1{}", line(4));
        assert_eq!(resolve(&rule, "10.0.0.1", &[&cut]), lost("10.0.0.2"));
        let all = ClientAddress::trusting_every_peer_dangerously();
        let flood = "10.0.0.2, ".repeat(100_000) + "10.0.0.3";
        assert_eq!(resolve(&all, "10.0.0.1", &[&flood]), lost("10.0.0.2"));
    }

    #[test]
    fn quoted_strings_do_not_hide_the_end_of_a_long_header() {
        let rule = ClientAddress::behind(["10.0.0.0/8"]).unwrap().header("Forwarded").unwrap();
        let proxy = "for=10.0.0.2;host=\"a\\\"b\"";
        let resolve_line = |line: String| resolve(&rule, "10.0.0.1", &[&line]);
        let filler = format!("x=\"{}\",", "\\\\,".repeat(2_000));
        assert_eq!(
            resolve_line(format!("{filler}for=198.51.100.1,{proxy}")),
            ("198.51.100.1".to_owned(), false)
        );
        assert_eq!(resolve_line(format!("{filler}{proxy}")), ("10.0.0.2".to_owned(), true));
    }
}
