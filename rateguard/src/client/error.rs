//! Why a client's address cannot be found in such a way.

use std::{error::Error, fmt};

use rateguard_grammar::shown;

pub(super) fn refuse(text: &str, problem: Problem) -> ClientAddressError {
    ClientAddressError { text: shown(text), problem }
}

/// Something that says not how the address of a client is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddressError {
    text: String,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Proxy,
    Everybody,
    Header,
    Prefix,
}

impl fmt::Display for ClientAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match self.problem {
            Problem::Proxy => write!(
                f,
                "`{text}` is not a proxy; write an address or a network, such as \"10.0.0.1\", \"10.0.0.0/8\" or \"fd00::/8\""
            ),
            Problem::Everybody => write!(
                f,
                "`{text}` trusts everybody, so any client could be anybody; if nobody but proxies can connect, say `ClientAddress::trusting_every_peer_dangerously`"
            ),
            Problem::Header => write!(f, "`{text}` is not the name of a header"),
            Problem::Prefix => {
                write!(f, "`{text}` is not a prefix of IPv6 addresses; legal are 32 to 128 bits")
            }
        }
    }
}

impl Error for ClientAddressError {}
