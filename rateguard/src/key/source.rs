//! The value in a request from which one part of a built-in key is made.

use std::borrow::Cow;

use actix_rateguard_core::adapter::{NetworkOf, part_key};
use actix_rateguard_grammar::{JsonPointer, KeyPart};
use actix_web::{
    HttpMessage, HttpRequest,
    http::{
        Method,
        header::{AUTHORIZATION, HeaderName, HeaderValue},
    },
};
use percent_encoding::percent_decode_str;

use super::{cookie::cookie, identity, session};
use crate::{
    Key,
    body_key::{form_field, json_value},
    client,
    http_methods::is_defined,
    user::UserId,
};

/// The name under which a limit counts the methods that are not defined by RFC 9110 or RFC 5789.
const OTHER_METHODS: &str = "other";

/// The value in a request from which one part of a built-in key is made.
#[derive(Clone, Debug)]
pub(super) enum PartSource {
    /// The client's address. The number is a prefix length for IPv6: all addresses of one network with this prefix
    /// length have the same key. `None` means the guard's prefix length.
    Ip(Option<u8>),
    User,
    Identity,
    Session(String),
    Bearer,
    Global,
    Header(HeaderName),
    Cookie(String),
    Path(String),
    Json(JsonPointer),
    Form(String),
    Route,
    Method,
}

/// Returns the error message for a key that requires a Cargo feature.
fn requires_feature(key: &str, feature: &str) -> String {
    format!(
        "the key `{key}` requires the feature `{feature}` of `actix-rateguard`; enable the feature in `Cargo.toml`: `actix-rateguard = {{ …, features = [\"{feature}\"] }}`"
    )
}

impl PartSource {
    /// Returns the source for one part of a key in the notation of the macro attribute.
    ///
    /// # Errors
    ///
    /// Returns an error message if the part requires a Cargo feature that is disabled.
    pub(super) fn of(part: &KeyPart) -> Result<Self, String> {
        Ok(match part {
            KeyPart::Ip => Self::Ip(None),
            KeyPart::IpNetwork(bits) => Self::Ip(Some(*bits)),
            KeyPart::User => Self::User,
            KeyPart::Identity if identity::IS_ENABLED => Self::Identity,
            KeyPart::Identity => {
                return Err(requires_feature("identity", "actix-identity"));
            }
            KeyPart::Session(name) if session::IS_ENABLED => Self::Session(name.clone()),
            KeyPart::Session(_) => {
                return Err(requires_feature("session:NAME", "actix-session"));
            }
            KeyPart::Bearer => Self::Bearer,
            KeyPart::Global => Self::Global,
            KeyPart::Header(name) => Self::Header(
                HeaderName::try_from(name.as_str()).map_err(|error| error.to_string())?,
            ),
            KeyPart::Cookie(name) => Self::Cookie(name.clone()),
            KeyPart::Path(name) => Self::Path(name.clone()),
            KeyPart::Json(pointer) => Self::Json(pointer.clone()),
            KeyPart::Form(name) => Self::Form(name.clone()),
            KeyPart::Route => Self::Route,
            KeyPart::Method => Self::Method,
        })
    }

    /// Returns whether the value is in the body of a request.
    pub(super) fn reads_body(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Form(_))
    }

    /// Returns this source as a part of a key in the notation of the macro attribute.
    pub(super) fn part(&self) -> KeyPart {
        match self {
            Self::Ip(None) => KeyPart::Ip,
            Self::Ip(Some(bits)) => KeyPart::IpNetwork(*bits),
            Self::User => KeyPart::User,
            Self::Identity => KeyPart::Identity,
            Self::Session(name) => KeyPart::Session(name.clone()),
            Self::Bearer => KeyPart::Bearer,
            Self::Global => KeyPart::Global,
            Self::Header(name) => KeyPart::Header(name.as_str().to_owned()),
            Self::Cookie(name) => KeyPart::Cookie(name.clone()),
            Self::Path(name) => KeyPart::Path(name.clone()),
            Self::Json(pointer) => KeyPart::Json(pointer.clone()),
            Self::Form(name) => KeyPart::Form(name.clone()),
            Self::Route => KeyPart::Route,
            Self::Method => KeyPart::Method,
        }
    }

    /// Returns the key for a value that is given as bytes. [`key_of`](Self::key_of) and `read` call this function
    /// for every source except addresses and the global key.
    pub(super) fn key(&self, value: &[u8]) -> Key {
        match self {
            Self::User => Key::tagged("user", [value]),
            Self::Identity => Key::tagged("identity", [value]),
            Self::Session(name) => Key::tagged("session", [name.as_bytes(), value]),
            Self::Bearer => Key::tagged("bearer", [value]),
            Self::Header(name) => Key::tagged("header", [name.as_str().as_bytes(), value]),
            Self::Cookie(name) => Key::tagged("cookie", [name.as_bytes(), value]),
            Self::Path(name) => Key::tagged("path", [name.as_bytes(), value]),
            Self::Json(pointer) => Key::tagged("json", [pointer.as_str().as_bytes(), value]),
            Self::Form(name) => Key::tagged("form", [name.as_bytes(), value]),
            Self::Route => Key::tagged("route", [value]),
            Self::Method => Key::tagged("method", [value]),
            Self::Ip(_) | Self::Global => Key::global(),
        }
    }

    /// Returns the key for a value in text form, for example a value that an operator sent. The function
    /// `network_of` returns the network by which the limits count a client at an address.
    pub(super) fn key_of(&self, value: &str, network_of: &NetworkOf<'_>) -> Option<Key> {
        part_key(&self.part(), value, network_of)
    }

    /// Reads the key from a request. The result is `None` if the request has no key.
    pub(super) fn read(&self, request: &HttpRequest) -> Option<Key> {
        match self {
            Self::Ip(bits) => Some(client::key(request, *bits, "ip")),
            Self::Global => Some(Key::global()),
            Self::User => Some(self.key(request.extensions().get::<UserId>()?.as_str().as_bytes())),
            Self::Identity => Some(self.key(identity::id(request)?.as_bytes())),
            Self::Session(name) => session::read(request, name, |value| self.key(value.as_bytes())),
            Self::Bearer => Some(self.key(credential(request.headers().get(AUTHORIZATION)?)?)),
            Self::Header(name) => {
                let value = request.headers().get(name).filter(|value| !value.is_empty())?;
                Some(self.key(value.as_bytes()))
            }
            Self::Cookie(name) => {
                let cookie = cookie(request.headers(), name)?;
                let value = Some(cookie.value()).filter(|value| !value.is_empty())?;
                Some(self.key(value.as_bytes()))
            }
            Self::Path(name) => {
                let value = request.match_info().get(name).filter(|value| !value.is_empty())?;
                let value: Cow<'_, [u8]> = percent_decode_str(value).into();
                Some(self.key(&value))
            }
            Self::Json(pointer) => Some(self.key(json_value(request, pointer)?.as_bytes())),
            Self::Form(name) => Some(self.key(form_field(request, name)?.as_bytes())),
            // The pattern comes from the application. A client could invent paths.
            Self::Route => Some(self.key(request.match_pattern()?.as_bytes())),
            Self::Method => Some(self.key(method_name(request.method()).as_bytes())),
        }
    }
}

/// Returns the name of the method by which a limit counts. All methods that RFC 9110 and RFC 5789 do not define share
/// one name, because a client could invent methods.
fn method_name(method: &Method) -> &str {
    if is_defined(method) { method.as_str() } else { OTHER_METHODS }
}

/// Returns the credential after the scheme `Bearer`. The scheme may have uppercase or lowercase letters, and any
/// number of spaces may follow it (RFC 9110, section 11.4).
fn credential(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, credential) = value.as_bytes().split_first_chunk::<6>()?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer");
    let has_separator = credential.first().is_some_and(u8::is_ascii_whitespace);
    let credential = credential.trim_ascii();
    (is_bearer && has_separator && !credential.is_empty()).then_some(credential)
}

#[cfg(test)]
mod tests {
    use actix_rateguard_core::adapter::Network;

    use super::*;

    /// A request has the key of a text in its session by the JSON that actix-session writes, and an operator selects
    /// the key by the text.
    #[test]
    fn text_of_a_session_has_the_key_of_its_json() {
        let source = PartSource::Session("uid".to_owned());
        let every: String = (0..0x300).filter_map(char::from_u32).collect();
        for text in ["", "ann", "a\"b\\c", "\u{2028}\u{1f600}", &every] {
            let json = serde_json::Value::from(text).to_string();
            let key = source.key_of(text, &|_, _| Network::None);
            assert_eq!(key, Some(source.key(json.as_bytes())), "{text:?}");
        }
    }

    #[test]
    fn credential_is_independent_of_case_and_spaces() {
        for value in ["Bearer t0ken", "bearer t0ken", "BEARER   t0ken ", "Bearer\tt0ken"] {
            let value = HeaderValue::from_static(value);
            assert_eq!(credential(&value), Some(b"t0ken".as_slice()), "{value:?}");
        }
        for value in ["", "Bearer", "Bearer ", "Bearert0ken", "Basic t0ken", "t0ken"] {
            assert_eq!(credential(&HeaderValue::from_static(value)), None, "{value}");
        }
    }
}
