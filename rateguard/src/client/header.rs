//! The header in which proxies write where a request came from.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use rateguard_grammar::is_token;

/// A header and its syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// RFC 7239.
    Forwarded,
    /// Addresses with commas between, or one alone.
    Addresses(Cow<'static, str>),
}

impl Header {
    pub(super) const X_FORWARDED_FOR: Self = Self::Addresses(Cow::Borrowed("x-forwarded-for"));

    /// The header of this name, if it can be one's.
    pub(super) fn named(name: &str) -> Option<Self> {
        is_token(name).then(|| match name.to_ascii_lowercase() {
            name if name == "forwarded" => Self::Forwarded,
            name => Self::Addresses(Cow::Owned(name)),
        })
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Addresses(name) => name,
        }
    }

    /// What stands between the commas of a line, the first first.
    pub(super) fn entries<'a>(&self, line: &'a [u8]) -> Vec<&'a [u8]> {
        match self {
            Self::Forwarded => split_outside_quotes(line, b','),
            Self::Addresses(_) => line.split(|byte| *byte == b',').collect(),
        }
    }

    /// The address of an entry, if it is one.
    pub(super) fn address(&self, entry: &[u8]) -> Option<IpAddr> {
        let entry = entry.trim_ascii();
        match self {
            Self::Forwarded => {
                let mut nodes = split_outside_quotes(entry, b';').into_iter().filter_map(|pair| {
                    let pair = pair.trim_ascii();
                    let (name, value) = pair.split_at_checked(4)?;
                    name.eq_ignore_ascii_case(b"for=").then_some(value)
                });
                let node = nodes.next()?;
                // Two of them cannot be told apart.
                if nodes.next().is_some() {
                    return None;
                }
                address(match node.strip_prefix(b"\"") {
                    Some(quoted) => quoted.strip_suffix(b"\"")?,
                    None => node,
                })
            }
            Self::Addresses(_) => address(entry),
        }
    }
}

/// An address alone, or with a port, in brackets, or with a zone.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let address = match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(v6) => IpAddr::V6(v6.parse().ok()?),
        None => match text.split_once('%') {
            Some((v6, zone)) if !zone.is_empty() => IpAddr::V6(v6.parse().ok()?),
            _ => text.parse().or_else(|_| text.parse().map(|it: SocketAddr| it.ip())).ok()?,
        },
    };
    Some(address.to_canonical())
}

fn split_outside_quotes(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(|byte| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match *byte {
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ => {}
        }
        *byte == separator && !is_quoted
    })
    .collect()
}
