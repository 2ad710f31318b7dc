//! The header in which proxies write where a request came from.

use std::{
    borrow::Cow,
    iter,
    net::{IpAddr, SocketAddr},
};

use actix_rateguard_grammar::is_token;

use super::embedded::canonical;

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

    /// What stands between the commas of a line, the last first, and `None` after it if that is more than the bytes that are
    /// left, from which it is subtracted.
    pub(super) fn entries<'a, 'b>(
        &self,
        line: &'a [u8],
        bytes_left: &'b mut usize,
    ) -> impl Iterator<Item = Option<&'a [u8]>> + use<'a, 'b> {
        let has_quotes = *self == Self::Forwarded;
        let mut rest = Some(line);
        iter::from_fn(move || {
            let unread = rest?;
            let readable = &unread[unread.len().saturating_sub(*bytes_left)..];
            let (before, entry) = last_entry(readable, has_quotes);
            if before.is_none() && readable.len() < unread.len() {
                // Half an entry is no entry: `1.2.3.4` may end what is `101.2.3.4`.
                rest = None;
                *bytes_left = 0;
                return Some(None);
            }
            let with_comma = entry.len() + usize::from(before.is_some());
            rest = before.map(|_| &unread[..unread.len() - with_comma]);
            *bytes_left -= with_comma;
            Some(Some(entry))
        })
    }

    /// The address of an entry, if it is one.
    pub(super) fn address(&self, entry: &[u8]) -> Option<IpAddr> {
        let entry = entry.trim_ascii();
        match self {
            Self::Forwarded => {
                let mut nodes = pairs(entry)?.into_iter().filter_map(|pair| {
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

/// The last entry of a line, and what is before its comma, if there is one.
///
/// Quotations are found from the right, too, so that one which a client has left open does not go on in what a proxy has
/// written behind it.
fn last_entry(line: &[u8], has_quotes: bool) -> (Option<&[u8]>, &[u8]) {
    let mut is_quoted = false;
    for (place, byte) in line.iter().enumerate().rev() {
        match byte {
            b'"' if has_quotes => {
                let escapes = line[..place].iter().rev().take_while(|it| **it == b'\\').count();
                // Seen from here, the first closes the quotation, and the next that is not escaped opens it.
                is_quoted = !is_quoted || escapes % 2 == 1;
            }
            b',' if !is_quoted => return (Some(&line[..place]), &line[place + 1..]),
            _ => {}
        }
    }
    (None, line)
}

/// An address alone, or with a port, in brackets, or with a zone.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = match bracketed.unwrap_or(text).split_once('%') {
        Some((v6, zone)) if is_zone(zone) => IpAddr::V6(v6.parse().ok()?),
        Some(_) => return None,
        None if bracketed.is_some() => IpAddr::V6(bracketed?.parse().ok()?),
        None => text.parse().or_else(|_| text.parse().map(|it: SocketAddr| it.ip())).ok()?,
    };
    Some(canonical(address))
}

/// Whether this names an interface (RFC 4007, section 11).
fn is_zone(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// What stands between the semicolons of an entry that are not quoted. `None` if a quotation is left open: from the right
/// it may have swallowed what a client wrote before the entry.
fn pairs(entry: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let pairs = entry.split(|byte| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match *byte {
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ => {}
        }
        *byte == b';' && !is_quoted
    });
    let pairs = pairs.collect();
    (!is_quoted).then_some(pairs)
}
