//! The keys that RateGuard can read from a request without a function of the application.

use std::{any::Any, net::IpAddr};

use actix_rateguard_core::adapter::{KeyRecipe, Network};
use actix_rateguard_grammar::{KeyNotation, KeyPart};
use actix_web::HttpRequest;
use smallvec::SmallVec;

use super::{Caller, composed::JoinKey, source::PartSource};
use crate::{Key, client, expect_valid::expect_valid};

/// A built-in key, such as [`ip`], [`user`] or [`header`], or a combination of several built-in keys.
#[derive(Clone, Debug)]
pub struct BuiltinKey {
    sources: SmallVec<[PartSource; 1]>,
}

/// Returns the built-in key for the client's address. Its notation in the macro attribute is `"ip"`.
///
/// The address is the address of the TCP peer, or the address that a trusted proxy reports
/// ([`ClientAddress`](crate::ClientAddress)). All IPv6 addresses of one /64 network have the same key. The setting
/// [`ipv6_prefix`](crate::ClientAddress::ipv6_prefix) of the guard selects another prefix length. An IPv6 address that
/// embeds an IPv4 address (IPv4-mapped, NAT64, 6to4, Teredo) has the key of that IPv4 address. Each link-local IPv6
/// address (`fe80::/10`) has its own key.
#[must_use]
pub fn ip() -> BuiltinKey {
    PartSource::Ip(None).into()
}

/// Returns a key that reads the client's address from the request. All IPv6 addresses whose first `ipv6_bits` bits are
/// equal have the same key. For 48 bits, the notation in the macro attribute is `"ip/48"`.
///
/// The owner of a /48 network can send requests from 65,536 networks of the size /64, each with its own [`ip`] key. To
/// limit all requests of such an owner, add a second limit with the key of the /48 network and higher quotas:
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
/// The function panics if `ipv6_bits` is not from 32 to 128. The panic occurs when the application creates the key, not
/// when a request arrives. To get an error instead of a panic, parse the notation: `"ip/48".parse::<BuiltinKey>()`.
#[must_use]
#[track_caller]
pub fn ip_network(ipv6_bits: u8) -> BuiltinKey {
    notation(&format!("ip/{ipv6_bits}"))
}

/// Returns a key that reads the authenticated user from the request: the [`UserId`](crate::UserId) in the request's
/// extensions. Its notation in the macro attribute is `"user"`.
///
/// The application's authentication must be a middleware that runs before the limit. In actix-web, the middleware that
/// is registered last runs first, so register the authentication after a limit in a middleware. An extractor runs after
/// every limit, so an extractor inserts the `UserId` too late.
#[must_use]
pub fn user() -> BuiltinKey {
    PartSource::User.into()
}

/// Returns a key that reads the id of the user that [actix-identity](https://docs.rs/actix-identity) has authenticated
/// (`Identity::id`). Its notation in the macro attribute is `"identity"`.
///
/// Register the middlewares of actix-identity after the middleware of the limit. In actix-web, the middleware that
/// is registered last runs first.
#[cfg(feature = "actix-identity")]
#[must_use]
pub fn identity() -> BuiltinKey {
    PartSource::Identity.into()
}

/// Returns a key that reads a value in the session of [actix-session](https://docs.rs/actix-session). Its notation
/// in the macro attribute is `"session:NAME"`.
///
/// Register the middleware of actix-session after the middleware of the limit. In actix-web, the middleware that is
/// registered last runs first.
///
/// # Panics
///
/// The function panics if `name` is empty. The panic occurs when the application creates the key, not when a request
/// arrives. To get an error instead of a panic, parse the notation: `"session:user_id".parse::<BuiltinKey>()`.
#[cfg(feature = "actix-session")]
#[must_use]
#[track_caller]
pub fn session(name: &str) -> BuiltinKey {
    part(&format!("session:{name}"))
}

/// Returns a key that reads the credential in `Authorization: Bearer` (RFC 6750). Its notation in the macro
/// attribute is `"bearer"`.
///
/// The scheme `Bearer` can have uppercase or lowercase letters. Any number of spaces can follow the scheme. A request
/// without a credential, or with a scheme other than `Bearer`, has no key.
///
/// RateGuard does not verify the credential, so a client that invents credentials gets a new bucket for each
/// credential. To limit such a client, add an outer limit with the key [`ip`], or apply this limit only after your
/// authentication.
#[must_use]
pub fn bearer() -> BuiltinKey {
    PartSource::Bearer.into()
}

/// Returns a key that is the same for all requests. Its notation in the macro attribute is `"global"`.
#[must_use]
pub fn global() -> BuiltinKey {
    PartSource::Global.into()
}

/// Returns a key that reads the value of a request header. Its notation in the macro attribute is `"header:NAME"`.
///
/// If the request has several headers with this name, the key is the value of the first of them, which is also the
/// result of `request.headers().get(NAME)`. If the header is missing or its value is empty, the request has no key.
///
/// An unverified header is a weak key: a client that invents values gets a new bucket for each value. To limit such a
/// client, add an outer limit with the key [`ip`].
///
/// # Panics
///
/// The function panics if `name` is not a valid header name. The panic occurs when the application creates the key, not
/// when a request arrives. To get an error instead of a panic, parse the notation:
/// `"header:X-Api-Key".parse::<BuiltinKey>()`.
#[must_use]
#[track_caller]
pub fn header(name: &str) -> BuiltinKey {
    part(&format!("header:{name}"))
}

/// Returns a key that reads the value of a cookie. Its notation in the macro attribute is `"cookie:NAME"`.
///
/// If the cookie is missing or its value is empty, the request has no key. A request also has no key if it has more
/// than 64 `Cookie` headers, or if its `Cookie` headers have more than 8,192 bytes in total.
///
/// An unverified cookie is a weak key, like an unverified [`header`]: a client that invents values gets a new bucket
/// for each value.
///
/// # Panics
///
/// The function panics if `name` is not a valid cookie name. The panic occurs when the application creates the key, not
/// when a request arrives. To get an error instead of a panic, parse the notation:
/// `"cookie:session".parse::<BuiltinKey>()`.
#[must_use]
#[track_caller]
pub fn cookie(name: &str) -> BuiltinKey {
    part(&format!("cookie:{name}"))
}

/// Returns a key that reads the value of a route parameter. Its notation in the macro attribute is `"path:NAME"`.
/// RateGuard percent-decodes the value, as actix-web does for a handler that reads the parameter as text.
///
/// If the parameter is missing or its value is empty, the request has no key.
///
/// If the handler parses the parameter, different texts can become the same value. For example, `7` and `007` are the
/// same number, but each of the two texts has its own bucket. To count such texts together, use a closure that parses
/// the parameter in the same way as the handler.
///
/// Do not use this key for a middleware that wraps the whole application. Such a middleware runs before actix-web
/// selects the route, so the middleware finds no parameters in a request. A middleware that wraps a scope finds only
/// the parameters in the path of the scope.
///
/// # Panics
///
/// The function panics if `name` is not a valid parameter name. The panic occurs when the application creates the key,
/// not when a request arrives. To get an error instead of a panic, parse the notation:
/// `"path:tenant".parse::<BuiltinKey>()`.
#[must_use]
#[track_caller]
pub fn path(name: &str) -> BuiltinKey {
    part(&format!("path:{name}"))
}

/// Returns a key that reads the pattern of the route that the application has registered for the path of the request,
/// such as `/orders/{id}`. Its notation in the macro attribute is `"route"`.
///
/// With `key::ip().and(key::route())`, a middleware around the whole application has a separate count for each route of
/// each client. All paths of one pattern share a count, so a client gets no new count by a path that it invents. If no
/// route is registered for the path, the request has no key. If the application has several routes with this path, for
/// example with different guards, they all have the pattern of the first one.
#[must_use]
pub fn route() -> BuiltinKey {
    PartSource::Route.into()
}

/// Returns a key that reads the method of the request. Its notation in the macro attribute is `"method"`.
///
/// `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS`, `CONNECT` and `TRACE` have a key each (RFC 9110, section
/// 9, and RFC 5789). All other methods share one key, because a client can invent methods.
#[must_use]
pub fn method() -> BuiltinKey {
    PartSource::Method.into()
}

/// Returns the address of the client, for the key function of a limit. The limit [`ip`] counts by the same address.
/// Returns `None` if the address is unknown, for example for a request over a Unix socket.
///
/// The address is the address of the TCP peer, or the address that a trusted proxy reports
/// ([`ClientAddress`](crate::ClientAddress)). In other code than a key function, call
/// [`RateGuard::client_ip`](crate::RateGuard::client_ip) instead, because before a limit of the guard has handled the
/// request, this function returns the address of the TCP peer.
///
/// ```
/// # use actix_web::HttpRequest;
/// # use actix_rateguard::{Caller, Key, Limit, key};
/// let limit = Limit::new("100/minute").key(|request: &HttpRequest| {
///     match key::client_ip(request) {
///         Some(address) if address.is_loopback() => Caller::Exempt,
///         Some(address) => Caller::Known(Key::from(address)),
///         None => Caller::Unknown,
///     }
/// });
/// ```
#[must_use]
pub fn client_ip(request: &HttpRequest) -> Option<IpAddr> {
    client::resolved(request).address
}

/// Parses a key in the notation of the macro attribute, such as `"user+path:tenant"`.
///
/// # Panics
///
/// The function panics if the text is not a valid key, or if a part of the key requires a Cargo feature that is
/// disabled. The panic occurs when the application creates the key, not when a request arrives. To handle the error,
/// use `text.parse::<BuiltinKey>()`.
#[must_use]
#[track_caller]
pub fn notation(text: &str) -> BuiltinKey {
    expect_valid(text.parse())
}

/// Creates a key with one part. The name in that part may contain a `+`, although in [`notation`] a `+` separates
/// two parts.
#[track_caller]
pub(super) fn part(notation: &str) -> BuiltinKey {
    let part: KeyPart = expect_valid(notation.parse());
    expect_valid(PartSource::of(&part)).into()
}

impl From<PartSource> for BuiltinKey {
    fn from(source: PartSource) -> Self {
        Self { sources: [source].into_iter().collect() }
    }
}

impl BuiltinKey {
    /// Creates the key from its notation.
    ///
    /// # Errors
    ///
    /// Returns an error message if a part requires a Cargo feature that is disabled.
    pub(crate) fn of(notation: &KeyNotation) -> Result<Self, String> {
        let sources = notation.parts().iter().map(PartSource::of);
        Ok(Self { sources: sources.collect::<Result<_, _>>()? })
    }

    /// Combines this key with another built-in key or with a closure or function over `&HttpRequest` into one key with
    /// several parts. Two requests share a bucket only if the values of all parts are equal. If a request lacks the
    /// value of one part, the request has no key. For example, `key::user().and(key::path("tenant"))` has the notation
    /// `"user+path:tenant"`. The result is a `BuiltinKey` for a built-in key, and a
    /// [`ComposedKey`](super::ComposedKey) for a function.
    ///
    /// The function can return the same values as a key function, see [`Caller`]. If it returns [`Caller::Exempt`], the
    /// limit does not apply to the request.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use actix_rateguard::{Limit, key};
    /// let per_client_and_plan = Limit::new("10/minute").key(
    ///     key::ip().and(|request: &HttpRequest| Some(request.headers().get("X-Plan")?.as_bytes().to_owned())),
    /// );
    /// ```
    #[must_use]
    pub fn and<K: JoinKey<Kind>, Kind>(self, other: K) -> K::Joined {
        other.join_to(self)
    }

    /// Adds the parts of the other key to this key.
    pub(super) fn joined(mut self, other: Self) -> Self {
        self.sources.extend(other.sources);
        self
    }

    /// Returns the key for a value, such as the id of a user. All requests of this user have the returned key. Use the
    /// result to [reset](actix_rateguard_core::RateGuard::reset) or [deny](crate::AccessList::deny_keys) the client.
    /// The result is `None` for a key with several parts, for `global`, and for an invalid address.
    ///
    /// ```
    /// # use actix_rateguard::key;
    /// let user = key::user().key_of("42");
    /// let client = key::ip_network(56).key_of("2001:db8::1");
    /// # assert!(user.is_some() && client.is_some());
    /// ```
    ///
    /// For [`ip`], the result is the key of the /64 network if the value is an IPv6 address. If the guard counts IPv6
    /// clients by another prefix length, call `key_of` on the key [`ip_network`] with this length. The result is never
    /// a [shared key](crate::ClientAddress::max_ipv6_keys_per_48): even while the guard counts the client under a
    /// shared key, this method returns the client's own key.
    #[must_use]
    pub fn key_of(&self, value: &str) -> Option<Key> {
        let [source] = &*self.sources else { return None };
        source.key_of(value, &|address, bits| Network::of(Some(address), bits.unwrap_or(64)))
    }

    /// Reads the key from a request, so that a key function can combine the key with other values. The result is `None`
    /// if the request lacks the value of a part of the key.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use actix_rateguard::{Limit, key};
    /// let per_client_and_path = Limit::new("10/minute").key(|request: &HttpRequest| {
    ///     key::ip().read(request).map(|client| (client, request.path().to_owned()))
    /// });
    /// ```
    ///
    /// Call this method only in the key function of a limit. In other code, the key [`ip`] can have the wrong address:
    /// before a limit of the guard has handled the request, the key has the address of the TCP peer, even if the guard
    /// reads the client's address from a header. To get the client's address in other code, call
    /// [`RateGuard::client_ip`](crate::RateGuard::client_ip).
    ///
    /// A key function runs before RateGuard reads the body, so it cannot read the keys `json` and `form`.
    /// [`and`](Self::and) combines such a key with a function.
    #[must_use]
    pub fn read(&self, request: &HttpRequest) -> Option<Key> {
        match self.caller(request) {
            Caller::Known(key) => Some(key),
            Caller::Unknown | Caller::Exempt => None,
        }
    }

    /// Returns whether a part of the key is in the body of a request.
    pub(crate) fn reads_body(&self) -> bool {
        self.sources.iter().any(PartSource::reads_body)
    }

    /// Returns the key in the notation of the macro attribute.
    pub(crate) fn to_notation(&self) -> String {
        let parts: Vec<_> = self.sources.iter().map(|source| source.part().to_string()).collect();
        parts.join("+")
    }

    /// Returns the parts of the key that this request lacks.
    pub(crate) fn missing_parts(&self, request: &HttpRequest) -> Vec<KeyPart> {
        let sources = self.sources.iter();
        let is_missing = |source: &&PartSource| match source {
            // Each request has these parts.
            PartSource::Ip(_) | PartSource::Global | PartSource::Method => false,
            source => source.read(request).is_none(),
        };
        sources.filter(is_missing).map(PartSource::part).collect()
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

/// Creates a key recipe from a key notation in a policies file. A limit uses the recipe to read the key of a
/// request.
#[cfg(feature = "config")]
pub(crate) fn recipe(notation: &KeyNotation) -> Result<std::sync::Arc<dyn KeyRecipe>, String> {
    Ok(std::sync::Arc::new(BuiltinKey::of(notation)?))
}

/// Returns whether a key in the policies file is in the body of a request.
pub(crate) fn reads_body(recipe: &dyn KeyRecipe) -> bool {
    let recipe: &dyn Any = recipe;
    recipe.downcast_ref().is_some_and(BuiltinKey::reads_body)
}

/// Reads a request's key, for a limit whose key is set in the policies file.
pub(crate) fn read(recipe: &dyn KeyRecipe, request: &HttpRequest) -> Caller {
    let recipe: &dyn Any = recipe;
    // Every recipe that this crate creates is a `BuiltinKey`. With a recipe of any other type, the request has no
    // key.
    recipe.downcast_ref::<BuiltinKey>().map_or(Caller::Unknown, |key| key.caller(request))
}
