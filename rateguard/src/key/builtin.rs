//! The built-in keys.

use std::any::Any;

use actix_rateguard_core::adapter::{KeyRecipe, Network};
use actix_rateguard_grammar::{KeyNotation, KeyPart};
use actix_web::HttpRequest;
use smallvec::SmallVec;

use super::{Caller, source::PartSource};
use crate::{Key, client, expect_valid::expect_valid};

/// A built-in key, such as [`ip`], [`user`] or [`header`], or a combination of them.
#[derive(Clone, Debug)]
pub struct BuiltinKey {
    sources: SmallVec<[PartSource; 1]>,
}

/// The client's address, as `"ip"` in the macro attribute.
///
/// The address is the address of the TCP peer, or the address that a trusted proxy reports
/// ([`ClientAddress`](crate::ClientAddress)). IPv6 addresses count by their /64 network, or by their network with the
/// prefix length that the guard sets. IPv6 addresses that embed an IPv4 address (IPv4-mapped, NAT64, 6to4, Teredo)
/// count by that IPv4 address.
#[must_use]
pub fn ip() -> BuiltinKey {
    PartSource::Ip(None).into()
}

/// The client's address, with IPv6 addresses grouped by networks with this prefix length, as `"ip/48"` in the macro
/// attribute.
///
/// Use this key for a second, wider limit, because the owner of a /48 network can send requests from 65,536 /64
/// networks.
///
/// ```
/// # use actix_rateguard::{Limit, RateGuard, RateLimit, key};
/// # let guard = RateGuard::in_memory();
/// let tiers = RateLimit::new(&guard, Limit::new("100/minute").name("per-client"))
///     .and(Limit::new("1000/minute").key(key::ip_network(48)).name("per-site"));
/// ```
///
/// # Panics
///
/// If `ipv6_bits` is not from 32 to 128. The panic happens when the key is created, not in a request. To
/// handle the error, parse the notation: `"ip/48".parse::<BuiltinKey>()`.
#[must_use]
#[track_caller]
pub fn ip_network(ipv6_bits: u8) -> BuiltinKey {
    notation(&format!("ip/{ipv6_bits}"))
}

/// The authenticated user, as `"user"` in the macro attribute: the [`UserId`](crate::UserId) in the request's
/// extensions.
///
/// The application's authentication must run before the limit. In actix-web, the middleware that is registered last
/// runs first, so register the authentication after the limit.
#[must_use]
pub fn user() -> BuiltinKey {
    PartSource::User.into()
}

/// The user of [actix-identity](https://docs.rs/actix-identity), as `"identity"` in the macro attribute:
/// `Identity::id`.
///
/// Register the middlewares of actix-identity after the middleware of the limit, so they run before the limit.
#[cfg(feature = "actix-identity")]
#[must_use]
pub fn identity() -> BuiltinKey {
    PartSource::Identity.into()
}

/// A value in the session of [actix-session](https://docs.rs/actix-session), as `"session:NAME"` in the macro
/// attribute.
///
/// Register the middleware of actix-session after the middleware of the limit, so it runs before the limit.
///
/// # Panics
///
/// If `name` is empty. The panic happens when the key is created, not in a request. To
/// handle the error, parse the notation: `"session:user_id".parse::<BuiltinKey>()`.
#[cfg(feature = "actix-session")]
#[must_use]
#[track_caller]
pub fn session(name: &str) -> BuiltinKey {
    part(KeyPart::Session(name.to_owned()), &format!("session:{name}"))
}

/// The credential of `Authorization: Bearer` (RFC 6750), as `"bearer"` in the macro attribute.
///
/// The key does not depend on the case of the scheme or the number of spaces. Requests that have no credential or
/// another scheme have no key.
///
/// RateGuard does not verify the credential, so a client that invents credentials gets a new bucket for each one. Add a
/// limit by address around this limit, or place this limit behind your authentication.
#[must_use]
pub fn bearer() -> BuiltinKey {
    PartSource::Bearer.into()
}

/// One key for all requests, as `"global"` in the macro attribute.
#[must_use]
pub fn global() -> BuiltinKey {
    PartSource::Global.into()
}

/// The value of a request header, as `"header:NAME"` in the macro attribute.
///
/// If the header has several values, the key is the first value, as in `request.headers().get(NAME)`. Requests without
/// the header or with an empty value have no key.
///
/// An unverified header is a weak key: a client that invents values gets a new bucket for each one. Add a limit by
/// address around this limit.
///
/// # Panics
///
/// If `name` is not a valid header name. The panic happens when the key is created, not in a request. To
/// handle the error, parse the notation: `"header:X-Api-Key".parse::<BuiltinKey>()`.
#[must_use]
#[track_caller]
pub fn header(name: &str) -> BuiltinKey {
    part(KeyPart::Header(name.to_owned()), &format!("header:{name}"))
}

/// The value of a cookie, as `"cookie:NAME"` in the macro attribute.
///
/// Requests without the cookie or with an empty value have no key. Requests whose `Cookie` headers exceed 8,192 bytes
/// or 64 header fields have no key, either.
///
/// An unverified cookie is as weak a key as an unverified [`header`], because a client can invent values.
///
/// # Panics
///
/// If `name` is not a valid cookie name. The panic happens when the key is created, not in a request. To
/// handle the error, parse the notation: `"cookie:session".parse::<BuiltinKey>()`.
#[must_use]
#[track_caller]
pub fn cookie(name: &str) -> BuiltinKey {
    part(KeyPart::Cookie(name.to_owned()), &format!("cookie:{name}"))
}

/// The value of a route parameter, as `"path:NAME"` in the macro attribute. RateGuard percent-decodes the value, as
/// actix-web does for a handler that reads text.
///
/// Requests without the parameter or with an empty value have no key.
///
/// If the handler parses the parameter, several texts may be the same value: as a number, `7` equals `007`. Each text
/// has its own bucket, so use a closure that parses the parameter as the handler does.
///
/// A middleware around the whole application runs before routing, so its requests have no parameters. The requests of a
/// middleware around a scope have the scope's parameters.
///
/// # Panics
///
/// If `name` is not a valid parameter name. The panic happens when the key is created, not in a request. To
/// handle the error, parse the notation: `"path:tenant".parse::<BuiltinKey>()`.
#[must_use]
#[track_caller]
pub fn path(name: &str) -> BuiltinKey {
    part(KeyPart::Path(name.to_owned()), &format!("path:{name}"))
}

/// Parses a key in the notation of the macro attribute, such as `"user+path:tenant"`.
///
/// # Panics
///
/// If the text is not a valid key, or a part of it requires a feature that is disabled. The panic happens when the key
/// is created, not in a request. To handle the error, use `text.parse::<BuiltinKey>()`.
#[must_use]
#[track_caller]
pub fn notation(text: &str) -> BuiltinKey {
    expect_valid(text.parse())
}

/// Creates a key with one part. The name may contain a `+`, which in [`notation`] would separate two parts.
#[track_caller]
fn part(part: KeyPart, notation: &str) -> BuiltinKey {
    let _: KeyPart = expect_valid(notation.parse());
    expect_valid(PartSource::of(&part)).into()
}

impl From<PartSource> for BuiltinKey {
    fn from(source: PartSource) -> Self {
        Self { sources: [source].into_iter().collect() }
    }
}

impl BuiltinKey {
    /// Creates the key that a notation describes.
    ///
    /// # Errors
    ///
    /// A message if a part requires a feature that is disabled.
    pub(crate) fn of(notation: &KeyNotation) -> Result<Self, String> {
        let sources = notation.parts().iter().map(PartSource::of);
        Ok(Self { sources: sources.collect::<Result<_, _>>()? })
    }

    /// Combines two keys: requests share a bucket only if both keys are equal. `key::user().and(key::path("tenant"))`
    /// is `"user+path:tenant"` in the macro attribute. A request that lacks one of the keys has no key.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.sources.extend(other.sources);
        self
    }

    /// Returns the key for a value, such as a user id. Use the key to [reset](actix_rateguard_core::RateGuard::reset)
    /// or [deny](crate::AccessList::deny_keys) the client. `None` for keys with several parts, for `global`, and for an
    /// invalid address.
    ///
    /// ```
    /// # use actix_rateguard::key;
    /// let user = key::user().key_of("42");
    /// let client = key::ip_network(56).key_of("2001:db8::1");
    /// # assert!(user.is_some() && client.is_some());
    /// ```
    ///
    /// For [`ip`], an IPv6 address counts by its /64 network. If the guard has another prefix length, use
    /// [`ip_network`]. The result is the client's own key, also while the client [shares a
    /// key](crate::ClientAddress::max_ipv6_keys_per_48) with other clients of its network.
    #[must_use]
    pub fn key_of(&self, value: &str) -> Option<Key> {
        let [source] = &*self.sources else { return None };
        source.key_of(value, |address, bits| Network::of(Some(address), bits.unwrap_or(64)))
    }

    /// Returns the notation of the key.
    pub(crate) fn to_notation(&self) -> String {
        let parts: Vec<_> = self.sources.iter().map(|source| source.part().to_string()).collect();
        parts.join("+")
    }

    /// Reads the key of a request.
    pub(crate) fn caller(&self, request: &HttpRequest) -> Caller {
        let key = match &*self.sources {
            [source] => source.read(request),
            sources => {
                let parts: Option<SmallVec<[Key; 4]>> =
                    sources.iter().map(|source| source.read(request)).collect();
                parts.map(|parts| client::combined_key(request, &parts))
            }
        };
        key.map_or(Caller::Unknown, Caller::Known)
    }
}

impl KeyRecipe for BuiltinKey {
    fn notation(&self) -> String {
        self.to_notation()
    }

    fn key_of(&self, value: &str) -> Option<Key> {
        Self::key_of(self, value)
    }
}

/// Creates the key that a notation in a policies file describes.
#[cfg(feature = "config")]
pub(crate) fn recipe(notation: &KeyNotation) -> Result<std::sync::Arc<dyn KeyRecipe>, String> {
    Ok(std::sync::Arc::new(BuiltinKey::of(notation)?))
}

/// Reads from a request the key that a policies file sets.
pub(crate) fn read(recipe: &dyn KeyRecipe, request: &HttpRequest) -> Caller {
    let recipe: &dyn Any = recipe;
    // Only guards of this crate create recipes that can read requests. With any other recipe, the key is missing.
    recipe.downcast_ref::<BuiltinKey>().map_or(Caller::Unknown, |key| key.caller(request))
}
