//! Defines a list of clients and keys that are exempt from limits or always denied.

use std::{collections::HashSet, error::Error, fmt, net::IpAddr};

use actix_rateguard_grammar::escape_for_display;
use ipnet::IpNet;

use crate::{
    Key,
    client_address::{AddressTexts, ResolvedClient, parse_network, tunnel_endpoint},
};

/// A list of clients and keys that are either exempt from limits or always denied.
///
/// An HTTP adapter, such as `actix-rateguard`, applies the list before it checks limits. If the list denies a request,
/// the adapter rejects the request with status 403. Methods of [`RateGuard`](crate::RateGuard), such as `check`, do not
/// apply the list.
///
/// If one entry allows a request and another entry denies it, the request is allowed. The adapter compares each request
/// with every network of the list. So a list can have hundreds of networks, but hundreds of thousands of networks would
/// delay every request.
///
/// ```
/// use actix_rateguard_core::{AccessList, Key};
///
/// let list = AccessList::new()
///     .allow_addresses(["10.1.0.0/16", "fd01::/64"])?
///     .deny_addresses(["203.0.113.0/24"])?
///     .allow_keys([Key::from("the key of our monitoring")])
///     .deny_keys([Key::from_parts(["tenant-7", "user-42"])]);
/// # Ok::<(), actix_rateguard_core::error::AccessListError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct AccessList {
    allowed: Vec<IpNet>,
    denied: Vec<IpNet>,
    allowed_keys: HashSet<Key>,
    denied_keys: HashSet<Key>,
}

/// Whether an [`AccessList`] allows or denies a client or key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The client or key is exempt from limits.
    Allowed,
    /// The client or key is always denied.
    Denied,
    /// The list has no entry for the client or key.
    Unlisted,
}

impl AccessList {
    /// Creates an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Exempts clients with these addresses from all limits. `addresses` is one text or a list of texts. Each text is
    /// an IP address, or a network such as `10.0.0.0/8`.
    ///
    /// [`ClientAddress`](crate::ClientAddress) determines the address of a client. By default, this is the address of
    /// the TCP peer, so all clients behind a proxy have the address of the proxy.
    ///
    /// The list never allows the address of a trusted proxy ([`ClientAddress::behind`](crate::ClientAddress::behind)),
    /// because the request can come from any client behind the proxy. If you pass a network to `behind`, all its
    /// addresses count as proxies. So do not pass a network to `behind` that also contains clients which the list
    /// should allow.
    ///
    /// # Errors
    ///
    /// [`AccessListError`] if a text is neither an address nor a network. A network that contains all addresses, such
    /// as `0.0.0.0/0`, is also an error, because it would disable all limits.
    pub fn allow_addresses<Kind>(
        mut self,
        addresses: impl AddressTexts<Kind>,
    ) -> Result<Self, AccessListError> {
        for address in addresses.into_texts() {
            let network = network(address.as_ref())?;
            if network.prefix_len() == 0 {
                return Err(AccessListError::new(address.as_ref(), true));
            }
            self.allowed.push(network);
        }
        Ok(self)
    }

    /// Denies clients with these addresses. `addresses` is one text or a list of texts. Each text is an IP address, or
    /// a network such as `203.0.113.0/24`.
    ///
    /// The IPv6 addresses of the tunnels 6to4 (RFC 3056) and Teredo (RFC 4380) contain an IPv4 address. The list denies
    /// a client with such an address if an entry denies the IPv6 address, or if an entry denies the IPv4 address in it.
    ///
    /// If the list denies at least one address, it also denies requests without an address, because such a request
    /// could come from a denied address. There are two kinds of requests without an address:
    ///
    /// - A TCP client can reset its connection before the server reads the address. The server then gets a request
    ///   without an address.
    /// - Requests over Unix sockets never have a peer address.
    ///   [`ClientAddress::trust_unix_sockets`](crate::ClientAddress::trust_unix_sockets) exempts these requests from
    ///   the rule.
    ///
    /// # Errors
    ///
    /// [`AccessListError`] if a text is neither an address nor a network.
    pub fn deny_addresses<Kind>(
        mut self,
        addresses: impl AddressTexts<Kind>,
    ) -> Result<Self, AccessListError> {
        for address in addresses.into_texts() {
            self.denied.push(network(address.as_ref())?);
        }
        Ok(self)
    }

    /// Exempts requests with these keys from the limits that count by these keys. A limit that counts the same request
    /// by another key still applies.
    pub fn allow_keys(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.allowed_keys.extend(keys);
        self
    }

    /// Denies every request that a limit counts by one of these keys.
    pub fn deny_keys(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.denied_keys.extend(keys);
        self
    }

    /// Returns whether the list has any address or network.
    #[doc(hidden)]
    pub fn has_addresses(&self) -> bool {
        !(self.allowed.is_empty() && self.denied.is_empty())
    }

    /// Returns whether the list allows or denies the address of a client.
    ///
    /// Two kinds of addresses can be denied but never allowed. If the search for the client found only a proxy, any
    /// client behind this proxy can be the sender of the request, so the list does not allow the address of the proxy.
    /// Any tunnel relay can write any IPv4 address, so the list does not allow the IPv4 address in a tunnel address.
    ///
    /// A client without an address may have any of the denied addresses. Only a trusted proxy on a Unix socket has no
    /// denied address.
    #[doc(hidden)]
    pub fn of_client(&self, client: ResolvedClient) -> Access {
        let ResolvedClient { address, is_proxy } = client;
        let Some(address) = address else {
            return Self::access(false, || !is_proxy && !self.denied.is_empty());
        };
        let has = |list: &[IpNet], address| list.iter().any(|network| network.contains(&address));
        let endpoint = tunnel_endpoint(address).map(IpAddr::V4);
        Self::access(!is_proxy && has(&self.allowed, address), || {
            has(&self.denied, address) || endpoint.is_some_and(|it| has(&self.denied, it))
        })
    }

    /// Returns whether the list allows or denies a key. `is_unreliable` returns whether the key is an address that
    /// the client or a tunnel relay could choose. The list never allows such a key.
    #[doc(hidden)]
    pub fn of_key(&self, key: &Key, is_unreliable: impl FnOnce() -> bool) -> Access {
        let is_allowed = self.allowed_keys.contains(key) && !is_unreliable();
        Self::access(is_allowed, || self.denied_keys.contains(key))
    }

    /// Returns the first allowed network in which all addresses are trusted proxies. An entry with such a network
    /// has no effect, because the list never allows the address of a proxy.
    #[doc(hidden)]
    pub fn allowed_proxies(&self, proxies: &[IpNet]) -> Option<IpNet> {
        let is_of_proxies = |network: &&IpNet| proxies.iter().any(|it| it.contains(*network));
        self.allowed.iter().find(is_of_proxies).copied()
    }

    fn access(is_allowed: bool, is_denied: impl FnOnce() -> bool) -> Access {
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

/// The error for a text that is not a valid address or network in an [`AccessList`].
#[derive(Clone, PartialEq, Eq)]
pub struct AccessListError {
    text: String,
    contains_all: bool,
}

impl AccessListError {
    fn new(text: &str, contains_all: bool) -> Self {
        Self { text: escape_for_display(text), contains_all }
    }
}

impl fmt::Display for AccessListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        if self.contains_all {
            return write!(
                f,
                "`{text}` allows all addresses, which would disable all limits; list smaller networks"
            );
        }
        write!(
            f,
            "expected an IP address or a network, such as \"10.0.0.1\", \"10.0.0.0/8\" or \"fd00::/8\", found `{text}`"
        )
    }
}

actix_rateguard_grammar::debug_as_display!(AccessListError);

impl Error for AccessListError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_entries_take_precedence_over_deny_entries() {
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
            (None, Access::Denied),
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
    fn client_without_an_address_is_denied_if_the_list_denies_addresses() {
        let lists = [
            AccessList::new(),
            AccessList::new().allow_addresses(["10.0.0.0/8"]).unwrap(),
            AccessList::new().deny_addresses(["10.0.0.0/8"]).unwrap(),
        ];
        let access = |is_proxy| {
            let client = ResolvedClient { address: None, is_proxy };
            lists.each_ref().map(|list| list.of_client(client))
        };
        assert_eq!(access(false), [Access::Unlisted, Access::Unlisted, Access::Denied]);
        // A proxy on a Unix socket.
        assert_eq!(access(true), [Access::Unlisted; 3]);
    }

    #[test]
    fn invalid_addresses_are_errors() {
        let error = AccessList::new().allow_addresses(["10.0.0"]).unwrap_err().to_string();
        assert!(error.ends_with("found `10.0.0`"), "{error}");
        let error = AccessList::new().deny_addresses(["::1\u{7}"]).unwrap_err().to_string();
        assert!(error.ends_with("found `::1\\u{7}`"), "{error}");
        for all in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
            let error = AccessList::new().allow_addresses([all]).unwrap_err().to_string();
            assert!(error.contains("allows all addresses"), "{error}");
        }
    }
}
