//! Defines the error for an invalid setting of `ClientAddress`.

use std::{error::Error, fmt};

use actix_rateguard_grammar::escape_for_display;

/// The error for an invalid setting of a [`ClientAddress`](crate::ClientAddress).
#[derive(Clone, PartialEq, Eq)]
pub struct ClientAddressError {
    text: String,
    problem: AddressProblem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressProblem {
    /// The text is neither an address nor a network.
    Proxy,
    /// The network contains all addresses, so every peer would be a trusted proxy.
    AllAddresses,
    /// The text is not a valid header name.
    Header,
    /// The prefix length is not from 32 to 128.
    Prefix,
}

impl ClientAddressError {
    pub(super) fn new(text: &str, problem: AddressProblem) -> Self {
        Self { text: escape_for_display(text), problem }
    }
}

impl fmt::Display for ClientAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match self.problem {
            AddressProblem::Proxy => write!(
                f,
                "expected the IP address or the network of a proxy, such as \"10.0.0.1\", \"10.0.0.0/8\" or \"fd00::/8\", found `{text}`"
            ),
            AddressProblem::AllAddresses => write!(
                f,
                "`{text}` trusts all addresses, so each client could choose its own address; if only proxies can connect, use `ClientAddress::trusting_every_peer_dangerously`"
            ),
            AddressProblem::Header => write!(f, "expected the name of a header, found `{text}`"),
            AddressProblem::Prefix => {
                write!(f, "expected an IPv6 prefix length from 32 to 128 bits, found `{text}`")
            }
        }
    }
}

actix_rateguard_grammar::debug_as_display!(ClientAddressError);

impl Error for ClientAddressError {}
