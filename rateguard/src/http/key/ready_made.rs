//! The ready-made keys.

use std::sync::Arc;

use actix_web::HttpRequest;
use rateguard_grammar::{KeyNotation, KeyPart};
use smallvec::SmallVec;

use super::{Caller, source::Source};
use crate::{
    Key,
    client::Network,
    http::{
        client, legal,
        per_request::{Chooser, PerRequest},
    },
};

/// One of the keys that need no code, such as [`ip`], [`user`] or [`header`], or several of them together.
#[derive(Clone, Debug)]
pub struct ReadyMade {
    sources: SmallVec<[Source; 1]>,
}

/// The client's address, as `"ip"` in the attribute: the TCP peer, or what a trusted proxy says
/// ([`ClientAddress`](crate::ClientAddress)); IPv6 addresses by their /64 network or what the guard says; those that
/// carry an IPv4 address (IPv4-mapped, NAT64, 6to4, Teredo) by that.
#[must_use]
pub fn ip() -> ReadyMade {
    Source::Ip(None).into()
}

/// The client's address, IPv6 ones by the network of so many bits, as `"ip/48"` in the attribute.
///
/// For limits in tiers: who owns a whole /48 has 65,536 networks of 64 bits.
///
/// ```
/// # use rateguard::{RateGuard, RateLimit, key};
/// # let guard = RateGuard::in_memory();
/// let tiers = RateLimit::new(&guard, "100/minute")
///     .by(key::ip())
///     .name("per-client")
///     .and("1000/minute")
///     .by(key::ip_network(48))
///     .name("per-site");
/// ```
///
/// # Panics
///
/// If `ipv6_bits` is not from 32 to 128: at start, where keys are made, not in a request.
#[must_use]
#[track_caller]
pub fn ip_network(ipv6_bits: u8) -> ReadyMade {
    notation(&format!("ip/{ipv6_bits}"))
}

/// The authenticated user, as `"user"` in the attribute: the [`UserId`](crate::UserId) in the request's extensions.
///
/// The application's authentication must have run before: in actix-web, the middleware that is registered last runs
/// first.
#[must_use]
pub fn user() -> ReadyMade {
    Source::User.into()
}

/// The user of [actix-identity](https://docs.rs/actix-identity), as `"identity"` in the attribute: `Identity::id`.
///
/// Its middlewares must be registered after the limit's, so that they run before.
#[cfg(feature = "actix-identity")]
#[must_use]
pub fn identity() -> ReadyMade {
    Source::Identity.into()
}

/// A value in the session of [actix-session](https://docs.rs/actix-session), as `"session:NAME"` in the attribute.
///
/// Its middleware must be registered after the limit's, so that it runs before.
///
/// # Panics
///
/// If `name` is empty: at start, where keys are made, not in a request.
#[cfg(feature = "actix-session")]
#[must_use]
#[track_caller]
pub fn session(name: &str) -> ReadyMade {
    part(KeyPart::Session(name.to_owned()), &format!("session:{name}"))
}

/// The credential of `Authorization: Bearer` (RFC 6750), as `"bearer"` in the attribute. However the scheme and the
/// spaces are spelled, one credential is one key. Requests without one, or with another scheme, have no key.
///
/// It is not verified here. Whoever invents credentials has a fresh limit with each, so put a limit by address around
/// it, or count only what your authentication has let through.
#[must_use]
pub fn bearer() -> ReadyMade {
    Source::Bearer.into()
}

/// Everybody together, as `"global"` in the attribute.
#[must_use]
pub fn global() -> ReadyMade {
    Source::Global.into()
}

/// The value of a request header, as `"header:NAME"` in the attribute: the first, if it comes several times, as it is
/// for `request.headers().get(NAME)`. Requests without it or with an empty one have no key.
///
/// A header that nobody verifies is a weak key: whoever invents values has a bucket for each. Put a limit by address
/// around it.
///
/// # Panics
///
/// If `name` is not a header's name: at start, where keys are made, not in a request.
#[must_use]
#[track_caller]
pub fn header(name: &str) -> ReadyMade {
    part(KeyPart::Header(name.to_owned()), &format!("header:{name}"))
}

/// The value of a cookie, as `"cookie:NAME"` in the attribute. Requests without it or with an empty one have no key, nor have
/// those whose cookies are together more than 8,192 bytes or 64 header fields.
///
/// A cookie that nobody verifies is as weak a key as such a [`header`].
///
/// # Panics
///
/// If `name` is not a cookie's name: at start, where keys are made, not in a request.
#[must_use]
#[track_caller]
pub fn cookie(name: &str) -> ReadyMade {
    part(KeyPart::Cookie(name.to_owned()), &format!("cookie:{name}"))
}

/// The value of a route parameter, as `"path:NAME"` in the attribute, percent-decoded, as handlers see it as text.
/// Requests without it or with an empty one have no key.
///
/// If handlers see it as something else than text, there may be many spellings of one value: as a number, `7` is also
/// `007`. Take a closure then that reads it as they do.
///
/// A middleware around the whole application runs before the route is known and sees no parameters; one around a
/// scope sees the scope's.
///
/// # Panics
///
/// If `name` is not a parameter's name: at start, where keys are made, not in a request.
#[must_use]
#[track_caller]
pub fn path(name: &str) -> ReadyMade {
    part(KeyPart::Path(name.to_owned()), &format!("path:{name}"))
}

/// A key as the attribute writes it: `"user+path:tenant"`.
///
/// # Panics
///
/// If it is not one: at start, where keys are made, not in a request.
#[must_use]
#[track_caller]
pub fn notation(text: &str) -> ReadyMade {
    let notation: KeyNotation = legal(text.parse());
    legal(ReadyMade::of(&notation))
}

/// A key of one part, whose name may have a `+` in it, which joins parts in the notation.
#[track_caller]
fn part(part: KeyPart, notation: &str) -> ReadyMade {
    let _: KeyPart = legal(notation.parse());
    legal(Source::of(&part)).into()
}

impl From<Source> for ReadyMade {
    fn from(source: Source) -> Self {
        Self { sources: [source].into_iter().collect() }
    }
}

impl ReadyMade {
    /// The key of this notation, if the features that it needs are there.
    pub(crate) fn of(notation: &KeyNotation) -> Result<Self, String> {
        let sources = notation.parts().iter().map(Source::of);
        Ok(Self { sources: sources.collect::<Result<_, _>>()? })
    }

    /// Counts together only those who have the same key here and there: `key::user().and(key::path("tenant"))`, as
    /// `"user+path:tenant"` in the attribute. Who lacks one of them has no key.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.sources.extend(other.sources);
        self
    }

    /// The key of somebody with this value, such as a user id, to [reset](crate::RateGuard::reset) or
    /// [deny](crate::AccessList::deny_keys) it. `None` for keys of several parts, for `global`, and if it should be an address
    /// and is none.
    ///
    /// ```
    /// # use rateguard::key;
    /// let user = key::user().key_of("42");
    /// let client = key::ip_network(56).key_of("2001:db8::1");
    /// # assert!(user.is_some() && client.is_some());
    /// ```
    ///
    /// Of [`ip`], the network is that of 64 bits; where the guard says otherwise, say so with [`ip_network`]. It is the key that
    /// the client has alone, also while it [shares one](crate::ClientAddress::max_ipv6_keys_per_48) with others of its network.
    #[must_use]
    pub fn key_of(&self, value: &str) -> Option<Key> {
        let [source] = &*self.sources else { return None };
        source.key_of(value, |address, bits| Network::of(Some(address), bits.unwrap_or(64)))
    }

    /// The notation of it.
    pub(crate) fn written(&self) -> String {
        let parts: Vec<_> = self.sources.iter().map(|source| source.part().to_string()).collect();
        parts.join("+")
    }

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

impl PerRequest<Caller, ReadyMade> for ReadyMade {
    fn into_chooser(self) -> Chooser<Caller> {
        Chooser::Now(Arc::new(move |request| Ok(self.caller(request))))
    }

    fn notation(&self) -> Option<String> {
        Some(self.written())
    }
}
