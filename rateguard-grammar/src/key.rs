//! Defines the notation of built-in keys, such as `"ip"`, `"header:X-Api-Key"` and `"user+path:tenant"`. All
//! requests with the same key are counted together.

use std::{error::Error, fmt, ops::RangeInclusive, str::FromStr};

use crate::{escape::escape_for_display, json_pointer::JsonPointer, suggest};

/// The valid prefix lengths, in bits, of an IPv6 network that counts as one client. The range is from the network of a
/// provider (32) to a single address (128).
pub const IPV6_PREFIXES: RangeInclusive<u8> = 32..=128;

/// The notation of a built-in key: one part, or several parts joined by `+`. Two requests have the same key if the
/// values of all parts are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyNotation {
    parts: Vec<KeyPart>,
}

/// A part of a built-in key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyPart {
    /// `"ip"`: the client's address.
    Ip,
    /// `"ip/48"`: the client's address. All IPv6 addresses of one network have the same key. The value of this variant
    /// is the prefix length of the network in bits.
    IpNetwork(u8),
    /// `"user"`: the authenticated user.
    User,
    /// `"identity"`: the user that actix-identity has authenticated.
    Identity,
    /// `"session:NAME"`: a value in the session of the crate actix-session.
    Session(String),
    /// `"bearer"`: the credential in the `Authorization` header.
    Bearer,
    /// `"global"`: the key that all requests share.
    Global,
    /// `"header:NAME"`: the value of a request header.
    Header(String),
    /// `"cookie:NAME"`: the value of a cookie.
    Cookie(String),
    /// `"path:NAME"`: the value of a route parameter.
    Path(String),
    /// `"json:/POINTER"`: a value in the JSON body.
    Json(JsonPointer),
    /// `"form:NAME"`: a field of the form in the body.
    Form(String),
    /// `"route"`: the pattern of the route, such as `/orders/{id}`.
    Route,
    /// `"method"`: the method.
    Method,
}

impl KeyPart {
    /// Returns whether the value of the part is in the body of a request.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Form(_))
    }
}

impl KeyNotation {
    /// A list of the valid forms, for error messages.
    pub const FORMS: &str = r#""ip", "ip/48", "user", "identity", "session:NAME", "bearer", "global", "header:NAME", "cookie:NAME", "path:NAME", "json:/POINTER", "form:NAME", "route", "method", several of these joined by `+`"#;

    /// Creates the notation `"ip"`, for the client's address.
    #[must_use]
    pub fn ip() -> Self {
        Self { parts: vec![KeyPart::Ip] }
    }

    /// Returns the parts of the key. The slice has at least one element.
    #[must_use]
    pub fn parts(&self) -> &[KeyPart] {
        &self.parts
    }
}

impl FromStr for KeyNotation {
    type Err = KeyNotationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Vec::new();
        for part in text.split('+') {
            let part = part.parse()?;
            if parts.contains(&part) {
                return Err(KeyNotationError::new(text, Problem::DuplicatePart));
            }
            parts.push(part);
        }
        if parts.len() > 1 && parts.contains(&KeyPart::Global) {
            return Err(KeyNotationError::new(text, Problem::CombinedGlobal));
        }
        Ok(Self { parts })
    }
}

impl fmt::Display for KeyNotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                f.write_str("+")?;
            }
            part.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip => f.write_str("ip"),
            Self::IpNetwork(bits) => write!(f, "ip/{bits}"),
            Self::User => f.write_str("user"),
            Self::Identity => f.write_str("identity"),
            Self::Session(name) => write!(f, "session:{name}"),
            Self::Bearer => f.write_str("bearer"),
            Self::Global => f.write_str("global"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Path(name) => write!(f, "path:{name}"),
            Self::Json(pointer) => write!(f, "json:{pointer}"),
            Self::Form(name) => write!(f, "form:{name}"),
            Self::Route => f.write_str("route"),
            Self::Method => f.write_str("method"),
        }
    }
}

impl FromStr for KeyPart {
    type Err = KeyNotationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |problem| KeyNotationError::new(text, problem);
        if let Some(bits) = text.strip_prefix("ip/") {
            let bits = bits.parse().ok().filter(|bits| IPV6_PREFIXES.contains(bits));
            return bits.map(Self::IpNetwork).ok_or_else(|| invalid(Problem::Prefix));
        }
        let (kind, name) =
            text.split_once(':').map_or((text, None), |(kind, name)| (kind, Some(name)));
        match (kind, name) {
            ("ip", None) => Ok(Self::Ip),
            ("user", None) => Ok(Self::User),
            ("identity", None) => Ok(Self::Identity),
            ("bearer", None) => Ok(Self::Bearer),
            ("global", None) => Ok(Self::Global),
            ("route", None) => Ok(Self::Route),
            ("method", None) => Ok(Self::Method),
            ("session", Some(name)) if !name.is_empty() => Ok(Self::Session(name.to_owned())),
            ("header", Some(name)) if is_token(name) => Ok(Self::Header(name.to_owned())),
            ("cookie", Some(name)) if is_token(name) => Ok(Self::Cookie(name.to_owned())),
            ("path", Some(name)) if is_parameter(name) => Ok(Self::Path(name.to_owned())),
            ("form", Some(name)) if !name.is_empty() => Ok(Self::Form(name.to_owned())),
            ("json", Some(pointer)) => {
                pointer.parse().map(Self::Json).map_err(|_| invalid(Problem::JsonPointer))
            }
            ("json", None) => Err(invalid(Problem::JsonPointer)),
            ("form", _) => Err(invalid(Problem::FormName)),
            ("session", _) => Err(invalid(Problem::SessionName)),
            ("header", _) => Err(invalid(Problem::HeaderName)),
            ("cookie", _) => Err(invalid(Problem::CookieName)),
            ("path", _) => Err(invalid(Problem::PathName)),
            _ => Err(invalid(Problem::Unknown)),
        }
    }
}

/// Returns whether `name` is a `token` (RFC 9110, section 5.6.2). The names of headers and cookies are tokens.
#[must_use]
pub fn is_token(name: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_tchar)
}

/// Returns whether `name` can be the name of a parameter in a route pattern, such as `{name}`.
fn is_parameter(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// Returns a valid key that is similar to a text. The text is not a valid key.
fn similar_key(text: &str) -> Option<String> {
    // The text may have other separators than `+`, white space, or capital letters.
    let parts =
        text.split(['+', ',', ';', '&', '|', ' ']).map(str::trim).filter(|it| !it.is_empty());
    let parts: Vec<String> = parts
        .map(|part| match part.split_once(':') {
            Some((kind, name)) => format!("{}:{name}", kind.to_lowercase()),
            None => part.to_lowercase(),
        })
        .collect();
    let joined = parts.join("+");
    if joined.parse::<KeyNotation>().is_ok() {
        return Some(joined);
    }
    let [part] = &parts[..] else { return None };
    let similar = match part.split_once(':') {
        Some((kind, name)) => {
            let kinds = ["header", "cookie", "path", "session", "json", "form"];
            format!("{}:{name}", suggest(kind, kinds)?)
        }
        None => {
            match suggest(part, ["ip", "user", "identity", "bearer", "global", "route", "method"]) {
                Some(key) => key.to_owned(),
                // A text with a hyphen, such as `X-Api-Key`, is probably the name of a header.
                None if part.contains('-') => format!("header:{}", text.trim()),
                None => return None,
            }
        }
    };
    similar.parse::<KeyNotation>().ok().map(|_| similar)
}

/// The error for a text that is not a built-in key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyNotationError {
    text: String,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Unknown,
    Prefix,
    SessionName,
    HeaderName,
    CookieName,
    PathName,
    JsonPointer,
    FormName,
    DuplicatePart,
    CombinedGlobal,
}

impl KeyNotationError {
    fn new(text: &str, problem: Problem) -> Self {
        Self { text: escape_for_display(text), problem }
    }

    /// Returns whether the text has none of the [valid forms](KeyNotation::FORMS). The result is `false` if the
    /// text has a valid form but an invalid name.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.problem == Problem::Unknown
    }
}

impl fmt::Display for KeyNotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match self.problem {
            Problem::Unknown => {
                write!(f, "unknown key `{text}`; ")?;
                if let Some(similar) = similar_key(text) {
                    write!(f, "did you mean `{similar}`? ")?;
                }
                write!(f, "expected one of {}", KeyNotation::FORMS)
            }
            Problem::Prefix => write!(
                f,
                "expected an IPv6 prefix length from \"ip/{}\" to \"ip/{}\", found `{text}`",
                IPV6_PREFIXES.start(),
                IPV6_PREFIXES.end()
            ),
            Problem::SessionName => write!(
                f,
                "expected the name of a session value, such as \"session:user_id\", found `{text}`"
            ),
            Problem::HeaderName => write!(
                f,
                "expected the name of a header, such as \"header:X-Api-Key\", found `{text}`"
            ),
            Problem::CookieName => write!(
                f,
                "expected the name of a cookie, such as \"cookie:session\", found `{text}`"
            ),
            Problem::PathName => write!(
                f,
                "expected the name of a route parameter without braces, such as \"path:tenant\", found `{text}`"
            ),
            Problem::JsonPointer => write!(
                f,
                "expected a JSON pointer (RFC 6901), such as \"json:/user/name\", found `{text}`"
            ),
            Problem::FormName => write!(
                f,
                "expected the name of a form field, such as \"form:email\", found `{text}`"
            ),
            Problem::DuplicatePart => write!(f, "duplicate part in key `{text}`"),
            Problem::CombinedGlobal => {
                write!(f, "expected \"global\" alone, found it in key `{text}`")
            }
        }
    }
}

crate::debug_as_display::debug_as_display!(KeyNotationError);

impl Error for KeyNotationError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_round_trips() {
        for (text, part) in [
            ("ip", KeyPart::Ip),
            ("ip/48", KeyPart::IpNetwork(48)),
            ("user", KeyPart::User),
            ("identity", KeyPart::Identity),
            ("session:user_id", KeyPart::Session("user_id".into())),
            ("bearer", KeyPart::Bearer),
            ("global", KeyPart::Global),
            ("header:X-Api-Key", KeyPart::Header("X-Api-Key".into())),
            ("cookie:session", KeyPart::Cookie("session".into())),
            ("path:tenant", KeyPart::Path("tenant".into())),
            ("json:/user/name", KeyPart::Json("/user/name".parse().unwrap())),
            ("form:email", KeyPart::Form("email".into())),
            ("route", KeyPart::Route),
            ("method", KeyPart::Method),
        ] {
            let notation = KeyNotation { parts: vec![part] };
            assert_eq!(notation.to_string(), text);
            assert_eq!(text.parse(), Ok(notation));
        }
        let notation = KeyNotation { parts: vec![KeyPart::User, KeyPart::Path("tenant".into())] };
        assert_eq!(notation.to_string(), "user+path:tenant");
        assert_eq!("user+path:tenant".parse(), Ok(notation));
    }

    #[test]
    fn invalid_keys_are_rejected_with_the_reason() {
        for (text, reason) in [
            ("", "unknown key ``; expected one of \"ip\""),
            ("IP", "unknown key `IP`; did you mean `ip`? expected one of"),
            ("ipp", "unknown key `ipp`; did you mean `ip`?"),
            ("ip,user", "did you mean `ip+user`?"),
            ("user and ip", "unknown key `user and ip`; expected"),
            ("heder:X-Api-Key", "did you mean `header:X-Api-Key`?"),
            ("X-Api-Key", "did you mean `header:X-Api-Key`?"),
            ("X-Api Key", "unknown key `X-Api Key`; expected"),
            ("email", "unknown key `email`; expected"),
            ("ip:4", "unknown key `ip:4`"),
            ("routes", "did you mean `route`?"),
            ("route:/a", "unknown key `route:/a`"),
            ("user+", "unknown key ``"),
            ("user +ip", "unknown key `user `; did you mean `user`?"),
            ("ip/31", "from \"ip/32\" to \"ip/128\""),
            ("ip/129", "from \"ip/32\""),
            ("ip/x", "from \"ip/32\""),
            ("header", "the name of a header"),
            ("header:", "the name of a header"),
            ("header:X Api", "the name of a header"),
            ("cookie:a=b", "the name of a cookie"),
            ("path:{id}", "the name of a route parameter"),
            ("session:", "the name of a session value"),
            ("json", "a JSON pointer (RFC 6901)"),
            ("json:", "a JSON pointer"),
            ("json:email", "such as \"json:/user/name\""),
            ("json:/a~2", "a JSON pointer"),
            ("form", "the name of a form field"),
            ("form:", "the name of a form field"),
            ("jsn:/email", "did you mean `json:/email`?"),
            ("JSON:/Email", "did you mean `json:/Email`?"),
            ("user+path:{id}", "the name of a route parameter"),
            ("user+ip+user", "duplicate part"),
            ("global+user", "\"global\" alone"),
        ] {
            let error = text.parse::<KeyNotation>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
