//! Determines the address of a client behind proxies: from the address of the peer, and from the lines of a header.

mod address_texts;
mod address_trace;
mod embedded;
mod error;
mod header;
mod network;
mod network_caps;
mod network_keys;
mod resolved;
mod shared_key;
mod tracked_clients;

use std::net::IpAddr;

use actix_rateguard_grammar::IPV6_PREFIXES;
use ipnet::IpNet;

pub use self::{
    address_texts::AddressTexts,
    address_trace::{AddressTrace, AddressTraceRecorder, Hop, StopReason, TraceListener},
    embedded::canonical,
    error::ClientAddressError,
    network::Network,
    network_caps::NetworkCaps,
    network_keys::NetworkKeys,
    resolved::ResolvedClient,
    shared_key::SharedKey,
};
pub(crate) use self::{embedded::tunnel_endpoint, network::parse_network};
use self::{error::AddressProblem, header::Header};

/// The rule that determines the address of a client. An HTTP adapter, such as `actix-rateguard`, counts requests by
/// this address if the key of a limit is `"ip"`. By default, the adapter also counts a request by this address if the
/// request lacks the key of a limit.
///
/// By default, the client is the TCP peer. The rule then reads no header, because a client can send any header. Behind
/// proxies, the TCP peer of every request is a proxy. If you have proxies, list them, and name the header in which they
/// send the address of the client:
///
/// ```
/// # use actix_rateguard_core::ClientAddress;
/// let rule = ClientAddress::behind(["10.0.0.0/24", "fd00::/64"])?.header("X-Forwarded-For")?;
/// let client = rule.address("10.0.0.1".parse().ok(), [b"192.0.2.7".as_slice()]);
/// assert_eq!(client, "192.0.2.7".parse().ok());
/// # Ok::<(), actix_rateguard_core::error::ClientAddressError>(())
/// ```
///
/// The rule reads the header only if the peer is a trusted proxy. It reads the lines of the header from right to left,
/// because each proxy appends an address at the right end. The first address that does not belong to a trusted proxy is
/// the client.
///
/// The search stops at an entry that is not an address. The search also stops after the last 8 lines or the last 1,024
/// bytes of the header, because an HTTP/2 request can have megabytes of header lines. In both cases, the last trusted
/// proxy that the search found counts as the client.
///
/// If the search finds only proxies, any client behind these proxies can have sent the request. The request is then
/// counted by the address of the last proxy that the search found. An [`AccessList`](crate::AccessList) can deny this
/// address but never allows it.
///
/// The rule replaces an IPv4-mapped or NAT64 address with the IPv4 address in it. A NAT64 address belongs to the
/// network `64:ff9b::/96` (RFC 6052), or to a /96 network in `64:ff9b:1::/48` (RFC 8215).
///
/// A link-local client (`fe80::/10`) is counted by its full address, because all hosts of a link share one /64. The
/// interface of the address, such as `%eth0`, is ignored, because the name of an interface has a meaning only on one
/// host.
///
/// A client that uses the tunnel 6to4 (`2002::/16`, RFC 3056) or Teredo (`2001::/32`, RFC 4380) is counted by the IPv4
/// address in its tunnel address. Any tunnel relay can write any IPv4 address into a tunnel address. So an access list
/// can deny this IPv4 address but never allows it, and the rule never trusts this address as a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    proxies: Vec<IpNet>,
    trusts_unix_sockets: bool,
    header: Header,
    ipv6_prefix: u8,
    ipv6_caps: NetworkCaps,
}

/// The maximum number of header lines that the search reads.
const MAX_LINES: usize = 8;
/// The maximum number of header bytes that the search reads.
const MAX_BYTES: usize = 1_024;

impl ClientAddress {
    /// Creates a rule that uses the address of the TCP peer and reads no header.
    #[must_use]
    pub const fn peer() -> Self {
        Self {
            proxies: Vec::new(),
            trusts_unix_sockets: false,
            header: Header::X_FORWARDED_FOR,
            ipv6_prefix: 64,
            ipv6_caps: NetworkCaps::DEFAULT,
        }
    }

    /// Creates a rule that trusts these proxies, and reads the address of the client from a header that they send. By
    /// default, this is the header `X-Forwarded-For`. [`header`](Self::header) sets another header.
    ///
    /// Each proxy is an IP address or a network such as `10.0.0.0/8`. `proxies` is one text or a list of texts.
    ///
    /// # Errors
    ///
    /// [`ClientAddressError`] if a text is neither an address nor a network, or if a network contains all addresses.
    pub fn behind<Kind>(proxies: impl AddressTexts<Kind>) -> Result<Self, ClientAddressError> {
        let proxies =
            proxies.into_texts().into_iter().map(|proxy| network::parse_proxy(proxy.as_ref()));
        Ok(Self { proxies: proxies.collect::<Result<_, _>>()?, ..Self::peer() })
    }

    /// Creates a rule that trusts every peer and uses the address that the peer sends in the header.
    ///
    /// **Dangerous:** a client that can connect to the server directly can choose the address by which it is counted.
    /// Use this rule only if all connections to the server come from proxies.
    #[must_use]
    pub fn trusting_every_peer_dangerously() -> Self {
        let all = [IpNet::from(ipnet::Ipv4Net::default()), IpNet::from(ipnet::Ipv6Net::default())];
        Self { proxies: all.to_vec(), ..Self::peer() }
    }

    /// Sets the header in which the proxies send the address of the client. The header is `X-Forwarded-For` (the
    /// default), `Forwarded` (RFC 7239), or any other header that contains only addresses, such as `X-Real-IP` or
    /// `CF-Connecting-IP`. The rule reads only this one header.
    ///
    /// # Errors
    ///
    /// [`ClientAddressError`] if `name` is not a valid header name.
    pub fn header(mut self, name: &str) -> Result<Self, ClientAddressError> {
        self.header = Header::named(name)
            .ok_or_else(|| ClientAddressError::new(name, AddressProblem::Header))?;
        Ok(self)
    }

    /// Trusts every peer that connects over a Unix socket, so that the rule reads the header that the peer sends. By
    /// default, the rule does not read the header of such a peer, so all requests over Unix sockets share one key.
    ///
    /// **If the server also listens on TCP, do not use the address `127.0.0.1:8080`.** A client
    /// that resets its TCP connection early has no peer address, like a peer on a Unix socket. To distinguish the two,
    /// RateGuard looks at the local address of the connection: for every Unix socket, actix-web reports
    /// `127.0.0.1:8080`. At every other local address, RateGuard does not trust the header of a request without a peer
    /// address. But if a TCP listener without TLS has the address `127.0.0.1:8080`, RateGuard takes such a client for a
    /// peer on a Unix socket. A program on the same host could then choose the address by which it is counted.
    #[must_use]
    pub fn trust_unix_sockets(mut self) -> Self {
        self.trusts_unix_sockets = true;
        self
    }

    /// Sets the number of leading bits of an IPv6 address that identify one client, from 32 to 128. Default: 64,
    /// because one customer gets at least a /64 network (RFC 6177), and often a /56.
    ///
    /// [`max_ipv6_keys_per_48`](Self::max_ipv6_keys_per_48) and [`max_ipv6_keys_per_32`](Self::max_ipv6_keys_per_32)
    /// limit the number of clients in one wide network.
    ///
    /// # Errors
    ///
    /// [`ClientAddressError`] if `bits` is not from 32 to 128.
    pub fn ipv6_prefix(mut self, bits: u8) -> Result<Self, ClientAddressError> {
        if !IPV6_PREFIXES.contains(&bits) {
            return Err(ClientAddressError::new(&bits.to_string(), AddressProblem::Prefix));
        }
        self.ipv6_prefix = bits;
        Ok(self)
    }

    /// Sets the maximum number of clients in one IPv6 /48 network that have keys of their own at the same time.
    /// Each process counts these clients separately. Default: 1,024. 0 disables the maximum.
    ///
    /// Without a maximum, the owner of a /48 could act as 65,536 clients, each with separate limits. A normal site
    /// uses fewer than 1,024 of its /64 networks, so the default does not affect a normal site.
    ///
    /// Above the maximum, further clients of the /48 get shared keys. The number of shared keys is a quarter of the
    /// maximum (256 by default). A request with a shared key can be denied because of the requests of other clients, so
    /// such a denial does not count as an offence that leads to a [ban](crate::Policy::ban). A client loses its own key
    /// 1 to 2 minutes after its last request.
    #[must_use]
    pub fn max_ipv6_keys_per_48(mut self, max: u32) -> Self {
        self.ipv6_caps.set(0, max);
        self
    }

    /// Sets the maximum number of clients in one IPv6 /32 network that have keys of their own at the same time.
    /// Each process counts these clients separately. Default: 16,384. 0 disables the maximum.
    ///
    /// A /32 is the typical network of a provider. Above the maximum, further clients of the /32 get shared keys. The
    /// number of shared keys is a sixteenth of the maximum (1,024 by default). A mobile network can have all its phones
    /// in one /32, each phone with its own /64. Increase the maximum if one process serves more than 16,384 such phones
    /// within a minute.
    #[must_use]
    pub fn max_ipv6_keys_per_32(mut self, max: u32) -> Self {
        self.ipv6_caps.set(1, max);
        self
    }

    /// Returns whether the rule never reads a header, so that the client is always the peer.
    #[doc(hidden)]
    pub fn is_peer(&self) -> bool {
        self.proxies.is_empty() && !self.trusts_unix_sockets
    }

    /// Returns the name of the header, in lower case.
    #[doc(hidden)]
    pub fn header_name(&self) -> &str {
        self.header.name()
    }

    /// Returns the number of leading bits of an IPv6 address that identify one client.
    #[doc(hidden)]
    pub fn ipv6_bits(&self) -> u8 {
        self.ipv6_prefix
    }

    /// Returns the maximum numbers of clients in a /48 and in a /32 that have keys of their own.
    #[doc(hidden)]
    pub fn ipv6_caps(&self) -> NetworkCaps {
        self.ipv6_caps
    }

    /// Returns the address of the client that sent a request. `peer` is the address of the TCP peer, or `None` for a
    /// Unix socket. `lines` are the lines of the header, in the order of the request.
    ///
    /// Do not call this method for a TCP connection whose peer is unknown. With `None` for `peer`, a rule that trusts
    /// Unix sockets would also trust the header of this TCP connection.
    ///
    /// An IPv4-mapped or NAT64 address is returned as the IPv4 address that it contains. The result is `None` if
    /// the peer is a Unix socket and the header has no address.
    ///
    /// ```
    /// # use actix_rateguard_core::ClientAddress;
    /// let rule = ClientAddress::behind(["10.0.0.0/8"])?;
    /// let client = rule.address("10.0.0.1".parse().ok(), [b"192.0.2.7, 10.0.0.2".as_slice()]);
    /// assert_eq!(client, "192.0.2.7".parse().ok());
    /// # Ok::<(), actix_rateguard_core::error::ClientAddressError>(())
    /// ```
    pub fn address<'a>(
        &self,
        peer: Option<IpAddr>,
        lines: impl IntoIterator<Item = &'a [u8], IntoIter: DoubleEndedIterator>,
    ) -> Option<IpAddr> {
        self.trace_address(peer, lines, &mut ()).address
    }

    /// Finds the client's address as [`address`](Self::address) does, and reports each step of the search to a
    /// listener.
    #[doc(hidden)]
    pub fn trace_address<'a>(
        &self,
        peer: Option<IpAddr>,
        lines: impl IntoIterator<Item = &'a [u8], IntoIter: DoubleEndedIterator>,
        listener: &mut impl TraceListener,
    ) -> ResolvedClient {
        let mut last = peer.map(canonical);
        let is_trusted = match last {
            Some(peer) => self.trusts(peer),
            None => self.trusts_unix_sockets,
        };
        listener.peer(last, is_trusted);
        if !is_trusted {
            return ResolvedClient { address: last, is_proxy: false };
        }
        let (mut bytes_left, mut has_hops) = (MAX_BYTES, false);
        for (number, line) in lines.into_iter().rev().enumerate() {
            if number == MAX_LINES {
                listener.too_long();
                return ResolvedClient { address: last, is_proxy: true };
            }
            for entry in self.header.entries(line, &mut bytes_left) {
                let Some(entry) = entry else {
                    listener.too_long();
                    return ResolvedClient { address: last, is_proxy: true };
                };
                let Some(address) = self.header.address(entry) else {
                    listener.hop(entry, None, false);
                    return ResolvedClient { address: last, is_proxy: true };
                };
                (last, has_hops) = (Some(address), true);
                let is_trusted = self.trusts(address);
                listener.hop(entry, last, is_trusted);
                if !is_trusted {
                    return ResolvedClient { address: last, is_proxy: false };
                }
            }
        }
        // If the rule trusts all addresses, the search finds no untrusted address, so the leftmost address counts as
        // the client.
        let is_client = has_hops && self.trusts_every_address();
        ResolvedClient { address: last, is_proxy: !is_client }
    }

    /// Returns whether an address that the search found belongs to a trusted proxy. If so, it is not the address of
    /// the client.
    #[doc(hidden)]
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.trusts(address) && !self.trusts_every_address()
    }

    /// Returns the networks of the trusted proxies. The list is empty if the rule trusts all addresses.
    #[doc(hidden)]
    pub fn proxies(&self) -> &[IpNet] {
        if self.trusts_every_address() { &[] } else { &self.proxies }
    }

    fn trusts_every_address(&self) -> bool {
        self.proxies.iter().any(|network| network.prefix_len() == 0)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|proxies| proxies.contains(&address))
    }
}

impl Default for ClientAddress {
    fn default() -> Self {
        Self::peer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the client that `rule` finds for a request from this peer with these header lines.
    fn client(rule: &ClientAddress, peer: &str, lines: &[&str]) -> String {
        let lines = lines.iter().map(|line| line.as_bytes());
        rule.address(peer.parse().ok(), lines).map_or("none".to_owned(), |it| it.to_string())
    }

    #[test]
    fn client_is_the_last_address_that_is_not_a_trusted_proxy() {
        let rule = ClientAddress::behind(["10.0.0.0/8", "2001:db8::1"]).unwrap();
        for (peer, lines, expected) in [
            // The rule ignores the header of a peer that is not trusted.
            ("192.0.2.1", &["198.51.100.1"][..], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("2001:db8::1", &["198.51.100.1"], "198.51.100.1"),
            ("2001:db8::2", &["198.51.100.1"], "2001:db8::2"),
            // The entries that the client has sent are on the left, and each proxy appends an entry on the right.
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.9"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1", "10.0.0.9, 10.0.0.8"], "198.51.100.1"),
            // If all addresses belong to proxies, the rule returns the leftmost address.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &[], "10.0.0.1"),
            // The search stops at an entry that is not an address, and the rule returns the last valid hop.
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.1, 10.0.0.999, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            // These entries contain an address in a valid or an invalid notation.
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7"),
            ("10.0.0.1", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["fe80::7%eth0"], "fe80::7"),
            ("10.0.0.1", &["[fe80::7%eth0]"], "fe80::7"),
            ("10.0.0.1", &["fe80::7%"], "10.0.0.1"),
            ("10.0.0.1", &["fe80::7%eth0]"], "10.0.0.1"),
            ("10.0.0.1", &["[198.51.100.1]"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.01"], "10.0.0.1"),
            ("10.0.0.1", &["\u{ff11}98.51.100.1"], "10.0.0.1"),
        ] {
            assert_eq!(client(&rule, peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn forwarded_header_is_parsed_according_to_rfc_7239() {
        let rule = ClientAddress::behind(["10.0.0.0/8"]).unwrap().header("Forwarded").unwrap();
        for (lines, expected) in [
            (&["for=198.51.100.1"][..], "198.51.100.1"),
            (&["For=\"[2001:db8::7]:4711\";proto=https"], "2001:db8::7"),
            (&["proto=https ; for=198.51.100.1;by=10.0.0.1"], "198.51.100.1"),
            (&["for=1.1.1.1, for=198.51.100.1, for=10.0.0.2"], "198.51.100.1"),
            (&["for=1.1.1.1", "for=198.51.100.1:80"], "198.51.100.1"),
            // A comma or a semicolon in a quoted string is not a separator.
            (&["for=1.1.1.1;host=\"a, for=2.2.2.2\", for=198.51.100.1"], "198.51.100.1"),
            (&["for=unknown"], "10.0.0.1"),
            (&["for=_hidden"], "10.0.0.1"),
            (&["proto=https"], "10.0.0.1"),
            (&["198.51.100.1"], "10.0.0.1"),
            // An entry with two `for` parameters is invalid.
            (&["for=1.1.1.1;for=198.51.100.1"], "10.0.0.1"),
            (&["for=\"198.51.100.1"], "10.0.0.1"),
            // If a client does not close a quoted string, the string ends before the entry of the proxy.
            (&["for=1.1.1.1;x=\", for=198.51.100.1"], "198.51.100.1"),
            (&["for=1.1.1.1;x=\"\\, for=198.51.100.1;host=\"a\\\"b, c\""], "198.51.100.1"),
            // If a proxy does not close a quoted string, the entry of the proxy is invalid. The search does not use
            // the client's text inside that string either.
            (&["for=1.1.1.1;host=a, for=198.51.100.1;host=\"a"], "10.0.0.1"),
            (&["for=\"1.1.1.1", "for=198.51.100.1, for=10.0.0.2"], "198.51.100.1"),
        ] {
            assert_eq!(client(&rule, "10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn unix_sockets_are_trusted_only_on_request() {
        let lines = ["198.51.100.1"];
        assert_eq!(client(&ClientAddress::peer(), "", &lines), "none");
        let rule = ClientAddress::peer().trust_unix_sockets();
        assert_eq!(client(&rule, "", &lines), "198.51.100.1");
        assert_eq!(client(&rule, "", &[]), "none");
        assert_eq!(client(&rule, "192.0.2.1", &lines), "192.0.2.1");
    }

    #[test]
    fn proxies_are_one_text_or_a_list() {
        let rule = ClientAddress::behind(["10.0.0.1"]).unwrap();
        let text = String::from("10.0.0.1");
        assert_eq!(ClientAddress::behind("10.0.0.1").unwrap(), rule);
        assert_eq!(ClientAddress::behind(&text).unwrap(), rule);
        assert_eq!(ClientAddress::behind(vec![text.clone()]).unwrap(), rule);
        assert_eq!(ClientAddress::behind(text).unwrap(), rule);
        assert_eq!(ClientAddress::behind([""; 0]).unwrap(), ClientAddress::peer());
    }

    #[test]
    fn invalid_proxies_are_errors() {
        for (proxy, message) in [
            ("", "found ``"),
            ("10.0.0.0/33", "found `10.0.0.0/33`"),
            ("10.0.0", "found `10.0.0`"),
            ("example.org", "found `example.org`"),
            ("0.0.0.0/0", "`0.0.0.0/0` trusts all addresses"),
            ("::/0", "trusts all addresses"),
            ("::ffff:0.0.0.0/96", "trusts all addresses"),
        ] {
            let error = ClientAddress::behind([proxy]).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert!(ClientAddress::peer().header("X Forwarded").is_err());
        assert!(ClientAddress::peer().ipv6_prefix(31).is_err());
        let mapped = ClientAddress::behind(["::ffff:10.0.0.0/104"]).unwrap();
        assert_eq!(client(&mapped, "10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        let all = ClientAddress::trusting_every_peer_dangerously();
        assert_eq!(client(&all, "192.0.2.1", &["198.51.100.1"]), "198.51.100.1");
    }
}
