//! Who is never limited, and who is always refused.

use std::{collections::HashSet, error::Error, fmt, net::IpAddr};

use ipnet::IpNet;
use rateguard_grammar::shown;

use crate::{
    Key,
    client::{ResolvedClient, parse_network, tunnel_endpoint},
};

/// Addresses and keys that are never limited, and such that are always refused, with 403.
///
/// For all limits of a guard ([`RateGuardBuilder::access`](crate::RateGuardBuilder::access)), or for those of one middleware
/// ([`RateLimit::access`](crate::RateLimit::access)). Who is allowed is allowed, whatever else the list says. It is looked
/// through from its beginning for each request, so it is for hundreds of networks, not for hundreds of thousands.
///
/// ```
/// # use rateguard::{AccessList, RateGuard, key};
/// let list = AccessList::new()
///     .allow_addresses(["10.1.0.0/16", "fd01::/64"])?
///     .deny_addresses(["203.0.113.0/24"])?
///     .allow_keys(key::header("X-Api-Key").key_of("the key of our monitoring"))
///     .deny_keys(key::user().key_of("42"));
/// let guard = RateGuard::builder().access(list).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct AccessList {
    allowed: Vec<IpNet>,
    denied: Vec<IpNet>,
    allowed_keys: HashSet<Key>,
    denied_keys: HashSet<Key>,
}

/// What the list says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Limits do not apply.
    Allowed,
    /// Refused.
    Denied,
    /// Nothing.
    Unlisted,
}

impl AccessList {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// These clients are not limited: addresses, or networks such as `10.0.0.0/8`.
    ///
    /// A client's address is found as for the key `"ip"`; behind a proxy that nobody has mentioned it is the proxy's. An address
    /// that is a proxy's by [`ClientAddress::behind`](crate::ClientAddress::behind) is never allowed, since it may stand for any
    /// client: name the proxies themselves there, and not the network in which those live that are allowed here.
    ///
    /// # Errors
    ///
    /// [`AccessListError`] if one of them is neither, or is a network of all addresses, which would switch all limits off.
    pub fn allow_addresses<A: AsRef<str>>(
        mut self,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Self, AccessListError> {
        for address in addresses {
            let network = network(address.as_ref())?;
            if network.prefix_len() == 0 {
                return Err(AccessListError::new(address.as_ref(), true));
            }
            self.allowed.push(network);
        }
        Ok(self)
    }

    /// These clients are refused with 403: addresses, or networks such as `203.0.113.0/24`. So are clients of 6to4 and Teredo
    /// whose IPv4 address is one of them.
    ///
    /// # Errors
    ///
    /// [`AccessListError`] if one of them is neither.
    pub fn deny_addresses<A: AsRef<str>>(
        mut self,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Self, AccessListError> {
        for address in addresses {
            self.denied.push(network(address.as_ref())?);
        }
        Ok(self)
    }

    /// Limits that count by these keys do not apply to them: `key::user().key_of("42")`, or what a key closure returns.
    pub fn allow_keys(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.allowed_keys.extend(keys);
        self
    }

    /// Limits that count by these keys refuse them with 403.
    pub fn deny_keys(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.denied_keys.extend(keys);
        self
    }

    pub(crate) fn has_addresses(&self) -> bool {
        !(self.allowed.is_empty() && self.denied.is_empty())
    }

    /// What it says of the address of a client.
    ///
    /// A proxy that stands in for a client that was not found is never allowed: anybody can make a header unreadable. Nor does
    /// a tunnel's client get what its IPv4 address is allowed, as its relay says which that is. Both are denied by them.
    pub(crate) fn of_client(&self, client: ResolvedClient) -> Access {
        let ResolvedClient { address: Some(address), is_proxy } = client else {
            return Access::Unlisted;
        };
        let has = |list: &[IpNet], address| list.iter().any(|network| network.contains(&address));
        let endpoint = tunnel_endpoint(address).map(IpAddr::V4);
        Self::said(!is_proxy && has(&self.allowed, address), || {
            has(&self.denied, address) || endpoint.is_some_and(|it| has(&self.denied, it))
        })
    }

    /// What it says of a key; `is_unreliable` says whether that is an address that no allowance may follow from.
    pub(crate) fn of_key(&self, key: &Key, is_unreliable: impl FnOnce() -> bool) -> Access {
        let is_allowed = self.allowed_keys.contains(key) && !is_unreliable();
        Self::said(is_allowed, || self.denied_keys.contains(key))
    }

    /// A network of allowed addresses whose addresses are all trusted as proxies, so that the allowance never applies.
    pub(crate) fn allowed_proxies(&self, proxies: &[IpNet]) -> Option<IpNet> {
        let is_of_proxies = |network: &&IpNet| proxies.iter().any(|it| it.contains(*network));
        self.allowed.iter().find(is_of_proxies).copied()
    }

    fn said(is_allowed: bool, is_denied: impl FnOnce() -> bool) -> Access {
        match is_allowed {
            true => Access::Allowed,
            false if is_denied() => Access::Denied,
            false => Access::Unlisted,
        }
    }
}

fn network(text: &str) -> Result<IpNet, AccessListError> {
    parse_network(text).ok_or_else(|| AccessListError::new(text, false))
}

/// A text that is no address of an [`AccessList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessListError {
    text: String,
    is_everybody: bool,
}

impl AccessListError {
    fn new(text: &str, is_everybody: bool) -> Self {
        Self { text: shown(text), is_everybody }
    }
}

impl fmt::Display for AccessListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        if self.is_everybody {
            return write!(f, "`{text}` allows everybody, so no limit would apply to anybody");
        }
        write!(
            f,
            "`{text}` is not an address; write an address or a network, such as \"10.0.0.1\", \"10.0.0.0/8\" or \"fd00::/8\""
        )
    }
}

impl Error for AccessListError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_allowed_is_allowed_and_who_is_denied_otherwise_is_denied() {
        let list = AccessList::new()
            .allow_addresses(["10.1.0.0/16", "::ffff:192.0.2.7"])
            .and_then(|list| list.deny_addresses(["10.0.0.0/8", "::/0"]))
            .unwrap()
            .allow_keys([Key::from("ann")])
            .deny_keys([Key::from("ann"), Key::from("bob")]);
        for (address, access) in [
            (Some("10.1.2.3"), Access::Allowed),
            (Some("192.0.2.7"), Access::Allowed),
            (Some("10.2.2.3"), Access::Denied),
            (Some("2001:db8::1"), Access::Denied),
            (Some("192.0.2.8"), Access::Unlisted),
            (None, Access::Unlisted),
        ] {
            let address = address.map(|it| it.parse().unwrap());
            let client = ResolvedClient { address, is_proxy: false };
            assert_eq!(list.of_client(client), access, "{address:?}");
        }
        let of = |user: &str| list.of_key(&Key::from(user), || false);
        assert_eq!(
            ["ann", "bob", "eve"].map(of),
            [Access::Allowed, Access::Denied, Access::Unlisted]
        );
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_is_legal() {
        let refused = AccessList::new().allow_addresses(["10.0.0"]).unwrap_err().to_string();
        assert!(refused.contains("`10.0.0` is not an address"), "{refused}");
        let refused = AccessList::new().deny_addresses(["::1\u{7}"]).unwrap_err().to_string();
        assert!(refused.contains("`::1\\u{7}` is not"), "{refused}");
        for everybody in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
            let refused = AccessList::new().allow_addresses([everybody]).unwrap_err().to_string();
            assert!(refused.contains("allows everybody"), "{refused}");
        }
    }
}
