//! How a client's address was found, step by step.

use std::{fmt, net::IpAddr};

use super::{Network, ResolvedClient};

/// Hears of each step when an address is looked for. Nobody listens by default, which costs nothing.
pub trait TraceListener {
    fn peer(&mut self, _peer: Option<IpAddr>, _is_trusted: bool) {}

    /// An entry of the header, and the address that it is, if it is one.
    fn hop(&mut self, _entry: &[u8], _address: Option<IpAddr>, _is_trusted: bool) {}

    /// The header goes on, and no more of it is read.
    fn too_long(&mut self) {}
}

impl TraceListener for () {}

/// So many hops are kept; a header may have thousands.
const KEPT: usize = 32;
/// Of an entry that is no address, so many characters are kept.
const KEPT_OF_ENTRY: usize = 100;

/// How the address of a client was found: [`Explanation::client`](crate::Explanation::client).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressTrace {
    /// Who connected; `None` over a Unix socket.
    pub peer: Option<IpAddr>,
    /// Whether the peer is a trusted proxy. Only then the header is read.
    pub is_peer_trusted: bool,
    /// The name of the header that trusted proxies write, if any is ever read.
    pub header: Option<String>,
    /// What was read of the header, from the right, up to 32 of them.
    pub hops: Vec<Hop>,
    /// How many further ones were read.
    pub hops_left_out: usize,
    /// Why it ended there.
    pub end: StopReason,
    /// The client.
    pub address: Option<IpAddr>,
    /// Whether that is a trusted proxy, as no client was found behind it. An [`AccessList`](crate::AccessList) does not allow
    /// such a request by its address.
    pub is_proxy: bool,
    /// What is counted as one client by the key `"ip"`: the address, or `2001:db8::/64`; or `2001:db8::/48, shared key 17 of
    /// 256` if that network has more clients than have [keys of their own](crate::ClientAddress::max_ipv6_keys_per_48).
    pub network: String,
}

/// One entry of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// As it was written, the first 100 characters of it.
    pub text: String,
    /// The address that it is, if it is one.
    pub address: Option<IpAddr>,
    /// Whether that is a trusted proxy's.
    pub is_trusted: bool,
}

/// Why the search for the client's address ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// No proxy is trusted, so the peer is the client.
    NoProxies,
    /// The peer is not a trusted proxy, so it is the client.
    PeerIsNoProxy,
    /// The last hop that was read is not a trusted proxy, so it is the client.
    HopIsNoProxy,
    /// The last entry that was read is not an address, so the hop before it is taken for the client.
    NotAnAddress,
    /// All hops are trusted proxies and there are no more, so the last is taken for the client.
    NothingLeft,
    /// The header is longer than what is read of it, so the last hop that was read is taken for the client.
    TooLong,
}

impl StopReason {
    /// A word for programs.
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
            Self::PeerIsNoProxy => "the peer is no trusted proxy, so it is the client",
            Self::HopIsNoProxy => "this hop is no trusted proxy, so it is the client",
            Self::NotAnAddress => {
                "this entry is no address, so the last hop before it is taken for the client"
            }
            Self::NothingLeft => "there are no more hops, so the last is taken for the client",
            Self::TooLong => {
                "the header is longer than what is read of it, so the last hop is taken for the client"
            }
        })
    }
}

/// Writes down the steps.
#[derive(Default)]
pub struct AddressTraceRecorder {
    peer: Option<IpAddr>,
    is_peer_trusted: bool,
    hops: Vec<Hop>,
    number: usize,
    end: Option<StopReason>,
}

impl TraceListener for AddressTraceRecorder {
    fn peer(&mut self, peer: Option<IpAddr>, is_trusted: bool) {
        self.peer = peer;
        self.is_peer_trusted = is_trusted;
    }

    fn hop(&mut self, entry: &[u8], address: Option<IpAddr>, is_trusted: bool) {
        self.number += 1;
        self.end = match (address, is_trusted) {
            (None, _) => Some(StopReason::NotAnAddress),
            (Some(_), false) => Some(StopReason::HopIsNoProxy),
            (Some(_), true) => None,
        };
        let text = String::from_utf8_lossy(entry.trim_ascii());
        let hop = Hop { text: text.chars().take(KEPT_OF_ENTRY).collect(), address, is_trusted };
        // The last one says why it ended.
        self.hops.truncate(KEPT - 1);
        self.hops.push(hop);
    }

    fn too_long(&mut self) {
        self.end = Some(StopReason::TooLong);
    }
}

impl AddressTraceRecorder {
    /// All of them, of a walk that found this client; under a rule that reads this header, if it reads any.
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
            hops_left_out: self.number - self.hops.len(),
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
        let trusted = |is_trusted| if is_trusted { "a trusted proxy" } else { "no trusted proxy" };
        match self.peer {
            Some(peer) => writeln!(f, "peer {peer}: {}", trusted(self.is_peer_trusted))?,
            None => writeln!(f, "peer without an address: {}", trusted(self.is_peer_trusted))?,
        }
        for hop in &self.hops {
            let header = self.header.as_deref().unwrap_or_default();
            match hop.address {
                Some(address) => writeln!(f, "{header} {address}: {}", trusted(hop.is_trusted))?,
                // As data: it may hold anything.
                None => writeln!(f, "{header} {:?}: no address", hop.text)?,
            }
        }
        writeln!(f, "{}", self.end)?;
        match self.address {
            Some(address) => {
                write!(f, "client {address}, counted as {}", self.network)?;
                match self.is_proxy {
                    true => f.write_str(", and allowed by no access list as it is a trusted proxy"),
                    false => Ok(()),
                }
            }
            None => write!(f, "client without an address, counted with all such"),
        }
    }
}
