//! `"ip"`, `"header:X-Api-Key"`: what a limit tells callers apart by.

use std::{error::Error, fmt, str::FromStr};

/// A ready-made key, as it is written in an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyNotation {
    /// `"ip"`: the client's address.
    Ip,
    /// `"user"`: the authenticated user.
    User,
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
    pub const FORMS: &str = r#""ip", "user", "global", "header:NAME", "cookie:NAME", "path:NAME""#;
}

impl FromStr for KeyNotation {
    type Err = KeyNotationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |problem| KeyNotationError { text: text.to_owned(), problem };
        let (kind, name) =
            text.split_once(':').map_or((text, None), |(kind, name)| (kind, Some(name)));
        match (kind, name) {
            ("ip", None) => Ok(Self::Ip),
            ("user", None) => Ok(Self::User),
            ("global", None) => Ok(Self::Global),
            ("header", Some(name)) if is_token(name) => Ok(Self::Header(name.to_owned())),
            ("cookie", Some(name)) if is_token(name) => Ok(Self::Cookie(name.to_owned())),
            ("path", Some(name)) if is_parameter(name) => Ok(Self::Path(name.to_owned())),
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
    HeaderName,
    CookieName,
    PathName,
}

impl KeyNotationError {
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
        }
    }
}

impl Error for KeyNotationError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, key) in [
            ("ip", KeyNotation::Ip),
            ("user", KeyNotation::User),
            ("global", KeyNotation::Global),
            ("header:X-Api-Key", KeyNotation::Header("X-Api-Key".into())),
            ("cookie:session", KeyNotation::Cookie("session".into())),
            ("path:tenant", KeyNotation::Path("tenant".into())),
        ] {
            assert_eq!(text.parse(), Ok(key));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_legal_forms() {
        for (text, reason) in [
            ("", "unknown key ``; legal are \"ip\""),
            ("IP", "unknown key `IP`"),
            ("ip:4", "unknown key `ip:4`"),
            ("header", "does not name a header"),
            ("header:", "does not name a header"),
            ("header:X Api", "does not name a header"),
            ("cookie:a=b", "does not name a cookie"),
            ("path:{id}", "does not name a route parameter"),
        ] {
            let error = text.parse::<KeyNotation>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
