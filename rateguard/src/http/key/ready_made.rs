//! The ready-made keys.

use std::borrow::Cow;

use actix_web::{HttpMessage, HttpRequest, http::header::HeaderName};
use percent_encoding::percent_decode_str;
use rateguard_grammar::KeyNotation;

use super::RequestKey;
use crate::{
    Key,
    http::{client, user::UserId},
};

/// One of the keys that need no code: [`ip`], [`user`], [`header`], [`cookie`], [`path`] or [`global`].
#[derive(Clone, Debug)]
pub struct ReadyMade(Source);

#[derive(Clone, Debug)]
enum Source {
    Ip,
    User,
    Global,
    Header(HeaderName),
    Cookie(String),
    Path(String),
}

/// The client's address, as `"ip"` in the attribute: the TCP peer, or what a trusted proxy says
/// ([`ClientAddress`](crate::ClientAddress)); IPv6 addresses by their /64 network, IPv4-mapped ones as the IPv4 address
/// they carry.
#[must_use]
pub fn ip() -> ReadyMade {
    ReadyMade(Source::Ip)
}

/// The authenticated user, as `"user"` in the attribute: the [`UserId`] in the request's extensions. Requests without
/// one are counted by address, apart from the users.
///
/// The application's authentication must have run before: in actix-web, the middleware that is registered last runs
/// first.
#[must_use]
pub fn user() -> ReadyMade {
    ReadyMade(Source::User)
}

/// Everybody together, as `"global"` in the attribute.
#[must_use]
pub fn global() -> ReadyMade {
    ReadyMade(Source::Global)
}

/// The value of a request header, as `"header:NAME"` in the attribute: the first, if it comes several times, as it is
/// for `request.headers().get(NAME)`. Requests without it or with an empty one are counted by address.
///
/// A header that nobody verifies is a weak key: whoever invents values has a bucket for each. Put a limit by address
/// around it.
///
/// # Panics
///
/// If `name` is not a header's name: at start, where keys are made, not in a request.
#[must_use]
pub fn header(name: &str) -> ReadyMade {
    ready_made(&format!("header:{name}"))
}

/// The value of a cookie, as `"cookie:NAME"` in the attribute. Requests without it are counted by address.
///
/// A cookie that nobody verifies is as weak a key as such a [`header`].
///
/// # Panics
///
/// If `name` is not a cookie's name: at start, where keys are made, not in a request.
#[must_use]
pub fn cookie(name: &str) -> ReadyMade {
    ready_made(&format!("cookie:{name}"))
}

/// The value of a route parameter, as `"path:NAME"` in the attribute, percent-decoded, as handlers see it as text.
/// Requests without it are counted by address.
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
pub fn path(name: &str) -> ReadyMade {
    ready_made(&format!("path:{name}"))
}

#[allow(clippy::panic, reason = "a wrong name is a mistake of the program, found at start")]
fn ready_made(notation: &str) -> ReadyMade {
    let source = match notation.parse() {
        Ok(KeyNotation::Ip) => Source::Ip,
        Ok(KeyNotation::User) => Source::User,
        Ok(KeyNotation::Global) => Source::Global,
        Ok(KeyNotation::Cookie(name)) => Source::Cookie(name),
        Ok(KeyNotation::Path(name)) => Source::Path(name),
        Ok(KeyNotation::Header(name)) => match HeaderName::try_from(name) {
            Ok(name) => Source::Header(name),
            Err(error) => panic!("{error}"),
        },
        Err(error) => panic!("{error}"),
    };
    ReadyMade(source)
}

impl RequestKey for ReadyMade {
    fn key(&self, request: &HttpRequest) -> Option<Key> {
        match &self.0 {
            Source::Ip => Some(client::network(request).key("ip")),
            Source::User => {
                let extensions = request.extensions();
                Some(Key::tagged("user", [extensions.get::<UserId>()?.as_str()]))
            }
            Source::Global => Some(Key::global()),
            Source::Header(name) => {
                let value = request.headers().get(name).filter(|value| !value.is_empty())?;
                Some(Key::tagged("header", [name.as_str().as_bytes(), value.as_bytes()]))
            }
            Source::Cookie(name) => {
                let cookie = request.cookie(name)?;
                let value = Some(cookie.value()).filter(|value| !value.is_empty())?;
                Some(Key::tagged("cookie", [name.as_str(), value]))
            }
            Source::Path(name) => {
                let value = request.match_info().get(name).filter(|value| !value.is_empty())?;
                let value: Cow<'_, [u8]> = percent_decode_str(value).into();
                Some(Key::tagged("path", [name.as_bytes(), &value]))
            }
        }
    }
}
