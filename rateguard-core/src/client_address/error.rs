//! Errors of invalid settings for the client's address.

use std::{error::Error, fmt};

use actix_rateguard_grammar::escape_for_display;

/// The error for an invalid setting of a [`ClientAddress`](crate::ClientAddress).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddressError {
    text: String,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Neither an address nor a network.
    Proxy,
    /// A network that contains all addresses.
    AllAddresses,
    /// Not the name of a header.
    Header,
    /// A prefix length out of range.
    Prefix,
}

impl ClientAddressError {
    pub(super) fn new(text: &str, problem: Problem) -> Self {
        Self { text: escape_for_display(text), problem }
    }
}

impl fmt::Display for ClientAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match self.problem {
            Problem::Proxy => write!(
                f,
                "expected the IP address or the network of a proxy, such as \"10.0.0.1\", \"10.0.0.0/8\" or \"fd00::/8\", found `{text}`"
            ),
            Problem::AllAddresses => write!(
                f,
                "`{text}` trusts all addresses, so each client could choose its own address; if only proxies can connect, use `ClientAddress::trusting_every_peer_dangerously`"
            ),
            Problem::Header => write!(f, "expected the name of a header, found `{text}`"),
            Problem::Prefix => {
                write!(f, "expected an IPv6 prefix length from 32 to 128 bits, found `{text}`")
            }
        }
    }
}

impl Error for ClientAddressError {}
