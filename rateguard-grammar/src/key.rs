//! `"ip"`, `"header:X-Api-Key"`, `"user+path:tenant"`: what a limit tells callers apart by.

use std::{error::Error, fmt, ops::RangeInclusive, str::FromStr};

use crate::shown::shown;

/// How many leading bits of an IPv6 address may be one client: from what a provider has to what a machine has.
pub const IPV6_PREFIXES: RangeInclusive<u8> = 32..=128;

/// A ready-made key, as it is written in an attribute: one part, or several joined by `+`, all of which tell callers
/// apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyNotation {
    parts: Vec<KeyPart>,
}

/// A part of a ready-made key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyPart {
    /// `"ip"`: the client's address.
    Ip,
    /// `"ip/48"`: the client's address, IPv6 ones by the network of so many bits.
    IpNetwork(u8),
    /// `"user"`: the authenticated user.
    User,
    /// `"identity"`: the user of actix-identity.
    Identity,
    /// `"session:NAME"`: a value in the session of actix-session.
    Session(String),
    /// `"bearer"`: the credential in the `Authorization` header.
    Bearer,
    /// `"global"`: everybody together.
    Global,
    /// `"header:NAME"`: the value of a request header.
    Header(String),
    /// `"cookie:NAME"`: the value of a cookie.
    Cookie(String),
    /// `"path:NAME"`: the value of a route parameter.
    Path(String),
}

impl KeyNotation {
    /// The legal forms, for messages.
    pub const FORMS: &str = r#""ip", "ip/48", "user", "identity", "session:NAME", "bearer", "global", "header:NAME", "cookie:NAME", "path:NAME", several of them joined by `+`"#;

    /// The client's address.
    #[must_use]
    pub fn ip() -> Self {
        Self { parts: vec![KeyPart::Ip] }
    }

    /// The parts; at least one.
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
                return Err(KeyNotationError::new(text, Problem::Twice));
            }
            parts.push(part);
        }
        if parts.len() > 1 && parts.contains(&KeyPart::Global) {
            return Err(KeyNotationError::new(text, Problem::Global));
        }
        Ok(Self { parts })
    }
}

impl fmt::Display for KeyNotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, part) in self.parts.iter().enumerate() {
            if place > 0 {
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
        }
    }
}

impl FromStr for KeyPart {
    type Err = KeyNotationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |problem| KeyNotationError::new(text, problem);
        if let Some(bits) = text.strip_prefix("ip/") {
            let bits = bits.parse().ok().filter(|bits| IPV6_PREFIXES.contains(bits));
            return bits.map(Self::IpNetwork).ok_or_else(|| refuse(Problem::Prefix));
        }
        let (kind, name) =
            text.split_once(':').map_or((text, None), |(kind, name)| (kind, Some(name)));
        match (kind, name) {
            ("ip", None) => Ok(Self::Ip),
            ("user", None) => Ok(Self::User),
            ("identity", None) => Ok(Self::Identity),
            ("bearer", None) => Ok(Self::Bearer),
            ("global", None) => Ok(Self::Global),
            ("session", Some(name)) if !name.is_empty() => Ok(Self::Session(name.to_owned())),
            ("header", Some(name)) if is_token(name) => Ok(Self::Header(name.to_owned())),
            ("cookie", Some(name)) if is_token(name) => Ok(Self::Cookie(name.to_owned())),
            ("path", Some(name)) if is_parameter(name) => Ok(Self::Path(name.to_owned())),
            ("session", _) => Err(refuse(Problem::SessionName)),
            ("header", _) => Err(refuse(Problem::HeaderName)),
            ("cookie", _) => Err(refuse(Problem::CookieName)),
            ("path", _) => Err(refuse(Problem::PathName)),
            _ => Err(refuse(Problem::Unknown)),
        }
    }
}

/// Whether `name` is a `token` of RFC 9110, section 5.6.2, as header and cookie names are.
#[must_use]
pub fn is_token(name: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_tchar)
}

/// Whether a route pattern could hold `{name}`.
fn is_parameter(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// A key that is not one of the ready-made ones, or names something that cannot exist.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    Twice,
    Global,
}

impl KeyNotationError {
    fn new(text: &str, problem: Problem) -> Self {
        Self { text: shown(text), problem }
    }

    /// Whether the text is none of the legal forms, rather than one of them with a wrong name.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.problem == Problem::Unknown
    }
}

impl fmt::Display for KeyNotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match self.problem {
            Problem::Unknown => write!(f, "unknown key `{text}`; legal are {}", KeyNotation::FORMS),
            Problem::Prefix => write!(
                f,
                "`{text}` does not say how many bits of an IPv6 address are one client; legal are \"ip/{}\" to \"ip/{}\"",
                IPV6_PREFIXES.start(),
                IPV6_PREFIXES.end()
            ),
            Problem::SessionName => write!(
                f,
                "`{text}` does not name a value of the session; after `session:` comes its name, such as \"session:user_id\""
            ),
            Problem::HeaderName => write!(
                f,
                "`{text}` does not name a header; after `header:` comes a header's name, such as \"header:X-Api-Key\""
            ),
            Problem::CookieName => write!(
                f,
                "`{text}` does not name a cookie; after `cookie:` comes a cookie's name, such as \"cookie:session\""
            ),
            Problem::PathName => write!(
                f,
                "`{text}` does not name a route parameter; after `path:` comes its name without braces, such as \"path:tenant\""
            ),
            Problem::Twice => write!(f, "`{text}` has one part twice; once is enough"),
            Problem::Global => {
                write!(
                    f,
                    "`{text}` has \"global\" in it, which is everybody together; leave it out"
                )
            }
        }
    }
}

impl Error for KeyNotationError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
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
    fn what_is_no_key_is_refused_with_the_legal_forms() {
        for (text, reason) in [
            ("", "unknown key ``; legal are \"ip\""),
            ("IP", "unknown key `IP`"),
            ("ip:4", "unknown key `ip:4`"),
            ("user+", "unknown key ``"),
            ("user +ip", "unknown key `user `"),
            ("ip/31", "legal are \"ip/32\" to \"ip/128\""),
            ("ip/129", "legal are \"ip/32\""),
            ("ip/x", "legal are \"ip/32\""),
            ("header", "does not name a header"),
            ("header:", "does not name a header"),
            ("header:X Api", "does not name a header"),
            ("cookie:a=b", "does not name a cookie"),
            ("path:{id}", "does not name a route parameter"),
            ("session:", "does not name a value of the session"),
            ("user+path:{id}", "does not name a route parameter"),
            ("user+ip+user", "has one part twice"),
            ("global+user", "everybody together"),
        ] {
            let error = text.parse::<KeyNotation>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
