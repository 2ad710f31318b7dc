//! Records how the address of a client was determined.

use std::{fmt, net::IpAddr};

use super::{Network, ResolvedClient};

/// Receives the steps of the search for a client's address. The implementation for `()` ignores all steps, so a search
/// without a trace costs nothing extra.
pub trait TraceListener {
    /// The peer of the connection, and whether that peer is a trusted proxy.
    fn peer(&mut self, _peer: Option<IpAddr>, _is_trusted: bool) {}

    /// An entry of the header, the address in the entry if there is one, and whether that address is a trusted proxy.
    fn hop(&mut self, _entry: &[u8], _address: Option<IpAddr>, _is_trusted: bool) {}

    /// The search stops because the header is longer than the part that is read.
    fn too_long(&mut self) {}
}

impl TraceListener for () {}

/// The maximum number of recorded hops. A header may have thousands of entries, and a trace must stay readable.
const MAX_HOPS: usize = 32;
/// The maximum number of recorded characters of an entry.
const MAX_ENTRY_CHARS: usize = 100;

/// The steps of the search for a client's address, for the diagnostics of an HTTP adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressTrace {
    /// The peer of the connection; `None` for a Unix socket.
    pub peer: Option<IpAddr>,
    /// Whether the peer is a trusted proxy. The header is read only in this case.
    pub is_peer_trusted: bool,
    /// The name of the header of the trusted proxies; `None` if no header is ever read.
    pub header: Option<String>,
    /// The entries of the header that were read, from right to left. At most 32 entries are recorded.
    pub hops: Vec<Hop>,
    /// The number of entries that were read but are not in `hops`.
    pub hops_omitted: usize,
    /// The reason why the search stopped.
    pub end: StopReason,
    /// The address of the client.
    pub address: Option<IpAddr>,
    /// Whether `address` belongs to a trusted proxy, because no client was found behind the proxy. Any client may have
    /// sent such a request, so an [`AccessList`](crate::AccessList) does not allow it by its address.
    pub is_proxy: bool,
    /// The address or network that counts as one client for the key `"ip"`, such as `2001:db8::/64`. If the wide
    /// network around it has [too many clients](crate::ClientAddress::max_ipv6_keys_per_48), this is a shared key such
    /// as `2001:db8::/48, shared key 17 of 256`.
    pub network: String,
}

/// One entry of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// The first 100 characters of the entry.
    pub text: String,
    /// The address; `None` if the entry is not an address.
    pub address: Option<IpAddr>,
    /// Whether the address belongs to a trusted proxy.
    pub is_trusted: bool,
}

/// The reason why the search for the client's address stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// No proxy is trusted, so the peer is the client.
    NoProxies,
    /// The peer is not a trusted proxy, so the peer is the client.
    PeerIsNoProxy,
    /// The last hop that was read is not a trusted proxy, so this hop is the client.
    HopIsNoProxy,
    /// The last entry that was read is not an address, so the hop before it counts as the client.
    NotAnAddress,
    /// All hops are trusted proxies, so the last hop that was read counts as the client.
    NothingLeft,
    /// The header is longer than the part that is read, so the last hop that was read counts as the client.
    TooLong,
}

impl StopReason {
    /// The name of the reason in snake case, such as `no_proxies`.
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

/// Records the steps of one search for an [`AddressTrace`].
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
        // The last hop is always recorded, since it explains why the search stopped.
        self.hops.truncate(MAX_HOPS - 1);
        self.hops.push(hop);
    }

    fn too_long(&mut self) {
        self.end = Some(StopReason::TooLong);
    }
}

impl AddressTraceRecorder {
    /// Creates the trace of the search that found this client. `header` is `None` if the rule never reads a header.
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
                // The text is escaped, since a client may have sent control characters.
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
