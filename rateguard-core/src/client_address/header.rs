//! Reads the header in which proxies send the address of the client.

use std::{
    borrow::Cow,
    iter,
    net::{IpAddr, SocketAddr},
};

use actix_rateguard_grammar::is_token;

use super::embedded::canonical;

/// A header in which proxies send addresses. The variant determines the syntax of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// The header `Forwarded`, with the syntax of RFC 7239.
    Forwarded,
    /// Any header except `Forwarded`. The value is an address or a comma-separated list of addresses.
    Addresses(Cow<'static, str>),
}

impl Header {
    pub(super) const X_FORWARDED_FOR: Self = Self::Addresses(Cow::Borrowed("x-forwarded-for"));

    /// Returns the header that has this name; `None` if the name is invalid.
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

    /// Returns the comma-separated entries of a line from right to left, and subtracts the length of each entry from
    /// `bytes_left`. If the next entry is longer than `bytes_left`, the iterator yields `None` in place of this
    /// entry, and then ends.
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
                // This entry has more bytes than may be read. Its last bytes may look like another address:
                // `1.2.3.4` may be the end of `101.2.3.4`. So the entry is not used.
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

    /// Returns the address in an entry; `None` if the entry contains no valid address.
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
                // An entry with two `for` parameters is ambiguous, so it is invalid.
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

/// Returns two parts of the line: the text before the last comma (`None` if there is no comma), and the entry after
/// the last comma.
///
/// Quoted strings are also parsed from right to left. So a client that does not close a quoted string cannot hide
/// the entry that a proxy appended.
fn last_entry(line: &[u8], has_quotes: bool) -> (Option<&[u8]>, &[u8]) {
    let mut is_quoted = false;
    for (index, byte) in line.iter().enumerate().rev() {
        match byte {
            b'"' if has_quotes => {
                let escapes = line[..index].iter().rev().take_while(|it| **it == b'\\').count();
                // From right to left, the first quote is the end of a string, and the next quote without an escape
                // is its start.
                is_quoted = !is_quoted || escapes % 2 == 1;
            }
            b',' if !is_quoted => return (Some(&line[..index]), &line[index + 1..]),
            _ => {}
        }
    }
    (None, line)
}

/// Parses an address that may have brackets, a port or a zone.
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

/// Returns whether the text is a zone identifier, such as the name of an interface (RFC 4007, section 11).
fn is_zone(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Splits an entry at every semicolon that is outside a quoted string.
///
/// The result is `None` if a quoted string is not closed. `last_entry` parses from right to left, so such an entry
/// may include text that the client sent.
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
