//! Records the steps of the search for a client's address in a header that proxies send.

use std::{fmt, net::IpAddr};

use super::{Network, ResolvedClient};

/// Receives the steps of the search for a client's address. The implementation for `()` ignores all steps, so a
/// search without a trace has no additional cost.
pub trait TraceListener {
    /// Receives the peer of the connection, and whether this peer is a trusted proxy.
    fn peer(&mut self, _peer: Option<IpAddr>, _is_trusted: bool) {}

    /// Receives an entry of the header, the address in the entry if it has one, and whether this address belongs to
    /// a trusted proxy.
    fn hop(&mut self, _entry: &[u8], _address: Option<IpAddr>, _is_trusted: bool) {}

    /// Is called if the search ends at the maximum number of lines or bytes, before it has read the whole header.
    fn too_long(&mut self) {}
}

impl TraceListener for () {}

/// The maximum number of hops (entries of the header) that are recorded. A header may have thousands of entries, and
/// a trace must be short enough to read.
const MAX_HOPS: usize = 32;
/// The maximum number of characters of an entry that are recorded.
const MAX_ENTRY_CHARS: usize = 100;

/// The steps of the search for a client's address. An HTTP adapter shows these steps in its diagnostics.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressTrace {
    /// The address of the peer, which is the program at the other end of the connection. The value is `None` for a Unix
    /// socket, which has no peer address. The value is also `None` if the client reset the TCP connection before the
    /// server read the address.
    pub peer: Option<IpAddr>,
    /// Whether the peer is a trusted proxy. The search reads the header only if the peer is trusted.
    pub is_peer_trusted: bool,
    /// The name of the header in which the proxies send addresses. `None` if the rule
    /// ([`ClientAddress`](crate::ClientAddress)) never reads a header.
    pub header: Option<String>,
    /// The header entries that the search read, from right to left. At most 32 entries are recorded.
    pub hops: Vec<Hop>,
    /// The number of entries that the search read but did not record in `hops`.
    pub hops_omitted: usize,
    /// The reason why the search for the client's address stopped.
    pub end: StopReason,
    /// The address that the search found for the client.
    pub address: Option<IpAddr>,
    /// Whether `address` belongs to a trusted proxy. If so, the search found only proxies, so any client behind these
    /// proxies can have sent the request. An [`AccessList`](crate::AccessList) never allows such an address.
    pub is_proxy: bool,
    /// The address or network that is counted as one client under the key `"ip"`, such as `2001:db8::/64`. If the /48
    /// or /32 around this network has [too many clients](crate::ClientAddress::max_ipv6_keys_per_48), the text
    /// describes a shared key, such as `2001:db8::/48, shared key 17 of 256`.
    pub network: String,
}

/// A header entry that the search for the client's address has read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// The first 100 characters of the entry in the header.
    pub text: String,
    /// The address in the entry. `None` if the entry is not an address.
    pub address: Option<IpAddr>,
    /// Whether the address belongs to a trusted proxy.
    pub is_trusted: bool,
}

/// The reason why the search for the client's address stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// No proxy is trusted, so the peer counts as the client.
    NoProxies,
    /// The peer is not a trusted proxy, so the peer counts as the client.
    PeerIsNoProxy,
    /// The last hop that was read is not a trusted proxy, so this hop counts as the client.
    HopIsNoProxy,
    /// The search reached an entry that is not an address. The trusted proxy that the search read before this entry
    /// counts as the client.
    NotAnAddress,
    /// All hops are trusted proxies, so the last hop that was read counts as the client.
    NothingLeft,
    /// The header has more lines or bytes than the search reads. The last hop that the search read counts as the
    /// client.
    TooLong,
}

impl StopReason {
    /// Returns the name of the reason in snake case, such as `no_proxies`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoProxies => "no_proxies",
            Self::PeerIsNoProxy => "peer_is_no_proxy",
            Self::HopIsNoProxy => "hop_is_no_proxy",
            Self::NotAnAddress => "not_an_address",
            Self::NothingLeft => "nothing_left",
            Self::TooLong => "too_long",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoProxies => "no proxy is trusted, so the peer is the client",
            Self::PeerIsNoProxy => "the peer is not a trusted proxy, so it is the client",
            Self::HopIsNoProxy => "this hop is not a trusted proxy, so it is the client",
            Self::NotAnAddress => {
                "this entry is not an address, so the hop before it counts as the client"
            }
            Self::NothingLeft => "there are no more hops, so the last one counts as the client",
            Self::TooLong => {
                "the header is longer than the part that is read, so the last hop counts as the client"
            }
        })
    }
}

/// Records the steps of one search, and creates an [`AddressTrace`] from them.
#[derive(Default)]
pub struct AddressTraceRecorder {
    peer: Option<IpAddr>,
    is_peer_trusted: bool,
    hops: Vec<Hop>,
    hop_count: usize,
    end: Option<StopReason>,
}

impl TraceListener for AddressTraceRecorder {
    fn peer(&mut self, peer: Option<IpAddr>, is_trusted: bool) {
        self.peer = peer;
        self.is_peer_trusted = is_trusted;
    }

    fn hop(&mut self, entry: &[u8], address: Option<IpAddr>, is_trusted: bool) {
        self.hop_count += 1;
        self.end = match (address, is_trusted) {
            (None, _) => Some(StopReason::NotAnAddress),
            (Some(_), false) => Some(StopReason::HopIsNoProxy),
            (Some(_), true) => None,
        };
        let text = String::from_utf8_lossy(entry.trim_ascii());
        let hop = Hop { text: text.chars().take(MAX_ENTRY_CHARS).collect(), address, is_trusted };
        // The last hop explains why the search stopped, so it is always recorded. If the list is full, the last hop
        // replaces the hop before it.
        self.hops.truncate(MAX_HOPS - 1);
        self.hops.push(hop);
    }

    fn too_long(&mut self) {
        self.end = Some(StopReason::TooLong);
    }
}

impl AddressTraceRecorder {
    /// Creates the trace of a search. `client` is the result of the search. `header` is `None` if the rule never
    /// reads a header.
    pub fn into_trace(
        self,
        client: ResolvedClient,
        header: Option<&str>,
        network: Network,
    ) -> AddressTrace {
        let end = self.end.unwrap_or(match (header, self.is_peer_trusted) {
            (None, _) => StopReason::NoProxies,
            (Some(_), false) => StopReason::PeerIsNoProxy,
            (Some(_), true) => StopReason::NothingLeft,
        });
        AddressTrace {
            peer: self.peer,
            is_peer_trusted: self.is_peer_trusted,
            header: header.map(str::to_owned),
            hops_omitted: self.hop_count - self.hops.len(),
            hops: self.hops,
            end,
            address: client.address,
            is_proxy: client.is_proxy,
            network: network.to_string(),
        }
    }
}

impl fmt::Display for AddressTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trusted =
            |is_trusted| if is_trusted { "a trusted proxy" } else { "not a trusted proxy" };
        match self.peer {
            Some(peer) => writeln!(f, "peer {peer}: {}", trusted(self.is_peer_trusted))?,
            None => writeln!(f, "peer without an address: {}", trusted(self.is_peer_trusted))?,
        }
        for hop in &self.hops {
            let header = self.header.as_deref().unwrap_or_default();
            match hop.address {
                Some(address) => writeln!(f, "{header} {address}: {}", trusted(hop.is_trusted))?,
                // The text is escaped, because a client may send control characters in an entry.
                None => writeln!(f, "{header} {:?}: not an address", hop.text)?,
            }
        }
        writeln!(f, "{}", self.end)?;
        match self.address {
            Some(address) => {
                write!(f, "client {address}, counted as {}", self.network)?;
                match self.is_proxy {
                    true => {
                        f.write_str(", and allowed by no access list because it is a trusted proxy")
                    }
                    false => Ok(()),
                }
            }
            None => write!(f, "client without an address, counted with all such clients"),
        }
    }
}
