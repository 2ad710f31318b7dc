//! Whose request it is, when proxies stand between: pure functions of a peer and the values of a header.

mod embedded;
mod error;
mod header;
mod network;
mod network_caps;
mod network_keys;
mod resolved;
mod tracked_clients;
mod walk;

use std::net::IpAddr;

use ipnet::IpNet;
use rateguard_grammar::IPV6_PREFIXES;

pub use self::error::ClientAddressError;
pub use self::walk::{AddressWalk, Hop, WalkEnd};
pub(crate) use self::{
    embedded::{canonical, tunnel_endpoint},
    network::{Network, parse_network},
    network_caps::NetworkCaps,
    network_keys::{NetworkKeys, SharedKey},
    resolved::ResolvedClient,
    walk::{Listener, Steps},
};
use self::{
    error::{Problem, refuse},
    header::Header,
};

/// How the address of a client is found: for the key `"ip"`, and for requests that have no other key.
///
/// By default it is that of the TCP peer, and no header is read: whoever connects can write any header. Behind proxies
/// all requests come from them; then say which they are, and in which header they write where a request came from:
///
/// ```
/// # use rateguard::{ClientAddress, RateGuard};
/// let guard = RateGuard::builder()
///     .client_address(ClientAddress::behind(["10.0.0.0/24", "fd00::/64"])?)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The header is read only if the peer is a trusted proxy, all its lines, from the right: the last proxy wrote the last
/// address. The first address that is not a trusted proxy's is the client. What is no address ends the walk: then the
/// client is the last proxy that was found. Of a header, the last 8 lines and the last 1,024 bytes are read; what is before
/// them ends the walk too, as a request over HTTP/2 may have megabytes of it.
///
/// Where no client is found, the address is a trusted proxy's, which stands for anybody. Such requests are counted and denied
/// by it, and no [`AccessList`](crate::AccessList) allows them.
///
/// IPv4-mapped addresses and those of NAT64 (`64:ff9b::/96`, and networks of 96 bits in `64:ff9b:1::/48`) are the IPv4 address
/// that they carry. Clients of 6to4 (`2002::/16`) and Teredo (`2001::/32`) are counted and denied by their IPv4 address, too,
/// but neither allowed nor trusted by it, as every relay can write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    proxies: Vec<IpNet>,
    trusts_unix_sockets: bool,
    header: Header,
    ipv6_prefix: u8,
    ipv6_caps: NetworkCaps,
}

/// The most lines of the header that are read.
const MAX_LINES: usize = 8;
/// The most bytes of the header that are read.
const MAX_BYTES: usize = 1_024;

impl ClientAddress {
    /// The address of the TCP peer.
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

    /// The address that these proxies tell, each an address or a network such as `10.0.0.0/8`, in `X-Forwarded-For`
    /// unless [`header`](Self::header) says otherwise.
    ///
    /// # Errors
    ///
    /// [`ClientAddressError`] if one of them is neither, or is a network of all addresses.
    pub fn behind<P: AsRef<str>>(
        proxies: impl IntoIterator<Item = P>,
    ) -> Result<Self, ClientAddressError> {
        let proxies = proxies.into_iter().map(|proxy| network::parse_proxy(proxy.as_ref()));
        Ok(Self { proxies: proxies.collect::<Result<_, _>>()?, ..Self::peer() })
    }

    /// The address that whoever connects tells. **Dangerous:** any client that can connect can be anybody. Only for
    /// servers that nobody but their proxies can reach.
    #[must_use]
    pub fn trusting_every_peer_dangerously() -> Self {
        let all = [IpNet::from(ipnet::Ipv4Net::default()), IpNet::from(ipnet::Ipv6Net::default())];
        Self { proxies: all.to_vec(), ..Self::peer() }
    }

    /// The header that the proxies write: `X-Forwarded-For` (the default), `Forwarded` (RFC 7239), or any that has
    /// addresses alone in it, such as `X-Real-IP` or `CF-Connecting-IP`. No other is read.
    ///
    /// # Errors
    ///
    /// [`ClientAddressError`] if it is no header's name.
    pub fn header(mut self, name: &str) -> Result<Self, ClientAddressError> {
        self.header = Header::named(name).ok_or_else(|| refuse(name, Problem::Header))?;
        Ok(self)
    }

    /// Trusts whoever connects over a Unix socket. Without it, requests over such a socket are limited all together.
    #[must_use]
    pub fn trust_unix_sockets(mut self) -> Self {
        self.trusts_unix_sockets = true;
        self
    }

    /// How many leading bits of an IPv6 address are one client, from 32 to 128. Default: 64, as that much is handed out to
    /// one customer at least (RFC 6177). Many are given a /56. How many of them one wide network may make is bounded:
    /// [`max_ipv6_keys_per_48`](Self::max_ipv6_keys_per_48), [`max_ipv6_keys_per_32`](Self::max_ipv6_keys_per_32).
    ///
    /// # Errors
    ///
    /// [`ClientAddressError`] if it is out of range.
    pub fn ipv6_prefix(mut self, bits: u8) -> Result<Self, ClientAddressError> {
        if !IPV6_PREFIXES.contains(&bits) {
            return Err(refuse(&bits.to_string(), Problem::Prefix));
        }
        self.ipv6_prefix = bits;
        Ok(self)
    }

    /// How many clients of one IPv6 /48 network have keys of their own at a time, in one process. Default: 1,024; 0 is for
    /// any number.
    ///
    /// Whoever has a /48 could else be 65,536 clients, each with limits of its own. A site has less than 1,024 networks in
    /// use, so it sees no difference. Beyond that, further clients of the /48 share a quarter as many keys among them, and
    /// one may be denied for what others took. What is denied so is no offence that leads to a [ban](crate::Policy::ban). A
    /// client keeps its own key until it has sent nothing for a minute or two.
    #[must_use]
    pub fn max_ipv6_keys_per_48(mut self, max: u32) -> Self {
        self.ipv6_caps.set(0, max);
        self
    }

    /// The same of one IPv6 /32 network, as a provider has. Default: 16,384; 0 is for any number. Beyond that, further clients
    /// share a sixteenth as many keys.
    ///
    /// A mobile network may have all its phones in one /32, each in a /64 of its own. Make it greater if one process serves
    /// more than 16,384 of them within a minute.
    #[must_use]
    pub fn max_ipv6_keys_per_32(mut self, max: u32) -> Self {
        self.ipv6_caps.set(1, max);
        self
    }

    /// Whether no header is ever read.
    pub(crate) fn is_peer(&self) -> bool {
        self.proxies.is_empty() && !self.trusts_unix_sockets
    }

    pub(crate) fn header_name(&self) -> &str {
        self.header.name()
    }

    /// How many leading bits of an IPv6 address are one client.
    pub(crate) fn ipv6_bits(&self) -> u8 {
        self.ipv6_prefix
    }

    /// How many clients of wide IPv6 networks have keys of their own.
    pub(crate) fn ipv6_caps(&self) -> NetworkCaps {
        self.ipv6_caps
    }

    /// The address of the client of a request from this peer (`None` over a Unix socket), with these lines of the header
    /// in the order in which they came. IPv4 in the notation of IPv6 is the IPv4 that it is. `None` if there is no address.
    ///
    /// ```
    /// # use rateguard::ClientAddress;
    /// let rule = ClientAddress::behind(["10.0.0.0/8"])?;
    /// let client = rule.address("10.0.0.1".parse().ok(), [b"192.0.2.7, 10.0.0.2".as_slice()]);
    /// assert_eq!(client, "192.0.2.7".parse().ok());
    /// # Ok::<(), rateguard::ClientAddressError>(())
    /// ```
    pub fn address<'a>(
        &self,
        peer: Option<IpAddr>,
        lines: impl IntoIterator<Item = &'a [u8], IntoIter: DoubleEndedIterator>,
    ) -> Option<IpAddr> {
        self.walk(peer, lines, &mut ()).address
    }

    /// The same, step by step to a listener.
    pub(crate) fn walk<'a>(
        &self,
        peer: Option<IpAddr>,
        lines: impl IntoIterator<Item = &'a [u8], IntoIter: DoubleEndedIterator>,
        listener: &mut impl Listener,
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
        // Where every address is trusted, the outermost is the client's, as it is by definition.
        let is_client = has_hops && self.trusts_every_address();
        ResolvedClient { address: last, is_proxy: !is_client }
    }

    /// Whether an address that clients are found by is a proxy's.
    #[cfg(feature = "operator")]
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        self.trusts(address) && !self.trusts_every_address()
    }

    /// The networks of the trusted proxies, unless every address is trusted.
    pub(crate) fn proxies(&self) -> &[IpNet] {
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

    /// The client of a request from this peer with these lines.
    fn client(rule: &ClientAddress, peer: &str, lines: &[&str]) -> String {
        let lines = lines.iter().map(|line| line.as_bytes());
        rule.address(peer.parse().ok(), lines).map_or("nobody".to_owned(), |it| it.to_string())
    }

    #[test]
    fn the_header_is_read_from_the_right_to_the_first_who_is_no_proxy() {
        let rule = ClientAddress::behind(["10.0.0.0/8", "2001:db8::1"]).unwrap();
        for (peer, lines, expected) in [
            // Nobody who is not trusted is believed.
            ("192.0.2.1", &["198.51.100.1"][..], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("2001:db8::1", &["198.51.100.1"], "198.51.100.1"),
            ("2001:db8::2", &["198.51.100.1"], "2001:db8::2"),
            // What the client wrote itself stands on the left.
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.9"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1", "10.0.0.9, 10.0.0.8"], "198.51.100.1"),
            // All of them proxies: the outermost.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &[], "10.0.0.1"),
            // What is no address ends the walk at the last good hop.
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.1, 10.0.0.999, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            // As proxies write them.
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
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let rule = ClientAddress::behind(["10.0.0.0/8"]).unwrap().header("Forwarded").unwrap();
        for (lines, expected) in [
            (&["for=198.51.100.1"][..], "198.51.100.1"),
            (&["For=\"[2001:db8::7]:4711\";proto=https"], "2001:db8::7"),
            (&["proto=https ; for=198.51.100.1;by=10.0.0.1"], "198.51.100.1"),
            (&["for=1.1.1.1, for=198.51.100.1, for=10.0.0.2"], "198.51.100.1"),
            (&["for=1.1.1.1", "for=198.51.100.1:80"], "198.51.100.1"),
            // A comma or a semicolon between quotes is none.
            (&["for=1.1.1.1;host=\"a, for=2.2.2.2\", for=198.51.100.1"], "198.51.100.1"),
            (&["for=unknown"], "10.0.0.1"),
            (&["for=_hidden"], "10.0.0.1"),
            (&["proto=https"], "10.0.0.1"),
            (&["198.51.100.1"], "10.0.0.1"),
            // Two clients in one element are none.
            (&["for=1.1.1.1;for=198.51.100.1"], "10.0.0.1"),
            (&["for=\"198.51.100.1"], "10.0.0.1"),
            // A quotation that a client has left open ends before what a proxy wrote.
            (&["for=1.1.1.1;x=\", for=198.51.100.1"], "198.51.100.1"),
            (&["for=1.1.1.1;x=\"\\, for=198.51.100.1;host=\"a\\\"b, c\""], "198.51.100.1"),
            // One that a proxy has left open tells nothing, and not what it swallows either.
            (&["for=1.1.1.1;host=a, for=198.51.100.1;host=\"a"], "10.0.0.1"),
            (&["for=\"1.1.1.1", "for=198.51.100.1, for=10.0.0.2"], "198.51.100.1"),
        ] {
            assert_eq!(client(&rule, "10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_unix_socket_is_trusted_if_it_is_said_so() {
        let lines = ["198.51.100.1"];
        assert_eq!(client(&ClientAddress::peer(), "", &lines), "nobody");
        let rule = ClientAddress::peer().trust_unix_sockets();
        assert_eq!(client(&rule, "", &lines), "198.51.100.1");
        assert_eq!(client(&rule, "", &[]), "nobody");
        assert_eq!(client(&rule, "192.0.2.1", &lines), "192.0.2.1");
    }

    #[test]
    fn what_is_no_proxy_is_refused_with_what_is_legal() {
        for (proxy, reason) in [
            ("", "is not a proxy"),
            ("10.0.0.0/33", "is not a proxy"),
            ("10.0.0", "is not a proxy"),
            ("example.org", "is not a proxy"),
            ("0.0.0.0/0", "trusts everybody"),
            ("::/0", "trusts everybody"),
            ("::ffff:0.0.0.0/96", "trusts everybody"),
        ] {
            let error = ClientAddress::behind([proxy]).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(ClientAddress::peer().header("X Forwarded").is_err());
        assert!(ClientAddress::peer().ipv6_prefix(31).is_err());
        let mapped = ClientAddress::behind(["::ffff:10.0.0.0/104"]).unwrap();
        assert_eq!(client(&mapped, "10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        let all = ClientAddress::trusting_every_peer_dangerously();
        assert_eq!(client(&all, "192.0.2.1", &["198.51.100.1"]), "198.51.100.1");
    }
}
