//! Reads the key of a request from a record. The keys are equal if and only if those of the library are equal.

use std::borrow::Cow;

use actix_rateguard_core::{Key, adapter::Network};
use actix_rateguard_grammar::{KeyNotation, KeyPart};

use super::route::RoutePattern;
use crate::replay::{
    fields::{ExtraFields, stored_part},
    record::{LogRecord, TextField},
};

/// The methods of RFC 9110 and RFC 5789. All other methods share one key.
const METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE"];

/// The key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadKey {
    Key(Key),
    /// The request lacks a part of the key.
    Missing,
}

/// Reads keys with one notation.
pub(crate) struct KeyReader {
    parts: Vec<(KeyPart, Option<TextField>)>,
    route: Option<RoutePattern>,
    /// The prefix length of the key `ip` for IPv6 addresses.
    ipv6_bits: u8,
}

impl KeyReader {
    /// Creates a reader, and adds the fields that the key needs to `extras`.
    pub(crate) fn new(
        notation: &KeyNotation,
        route: Option<&RoutePattern>,
        ipv6_bits: u8,
        extras: &mut ExtraFields,
    ) -> Self {
        let parts = notation.parts().iter().map(|part| {
            let field = match part {
                KeyPart::Ip
                | KeyPart::IpNetwork(_)
                | KeyPart::Global
                | KeyPart::Route
                | KeyPart::Path(_) => None,
                KeyPart::User => Some(TextField::User),
                KeyPart::Method => Some(TextField::Method),
                part => Some(extras.add(part)),
            };
            (stored_part(part.clone()), field)
        });
        Self { parts: parts.collect(), route: route.cloned(), ipv6_bits }
    }

    pub(crate) fn read(&self, record: &LogRecord) -> ReadKey {
        if let [(part, field)] = &*self.parts {
            return self.read_part(part, *field, record).map_or(ReadKey::Missing, ReadKey::Key);
        }
        let keys = self.parts.iter().map(|(part, field)| self.read_part(part, *field, record));
        match keys.collect::<Option<Vec<_>>>() {
            Some(keys) => ReadKey::Key(Key::combined(&keys)),
            None => ReadKey::Missing,
        }
    }

    /// Returns the key by which the library counts a request without a key: the client's address.
    pub(crate) fn fallback(&self, record: &LogRecord) -> Key {
        match record.text(TextField::Host) {
            Some(host) => Key::tagged("no key host", [host]),
            None => Network::of(record.address, self.ipv6_bits).key("no key"),
        }
    }

    fn read_part(
        &self,
        part: &KeyPart,
        field: Option<TextField>,
        record: &LogRecord,
    ) -> Option<Key> {
        match part {
            KeyPart::Ip => address_key(record, self.ipv6_bits),
            KeyPart::IpNetwork(bits) => address_key(record, *bits),
            KeyPart::Global => Some(Key::global()),
            KeyPart::Route => Some(Key::of_part(part, self.route.as_ref()?.as_str().as_bytes())),
            KeyPart::Path(name) => {
                let path = record.text(TextField::Path)?;
                let value = percent_decoded(self.route.as_ref()?.parameter(path, name)?);
                (!value.is_empty()).then(|| Key::of_part(part, &value))
            }
            KeyPart::Method => Some(Key::of_part(part, defined_method(record.text(field?)?))),
            part => {
                let value = record.text(field?).filter(|value| !value.is_empty())?;
                Some(Key::of_part(part, value))
            }
        }
    }

    /// Writes the key for people. `is_missing` tells whether the request has no key, and is counted by its client.
    pub(crate) fn text(&self, record: &LogRecord, is_missing: bool) -> String {
        if is_missing {
            return format!("no key, {}", client_text(record, self.ipv6_bits));
        }
        let parts: Vec<String> = self
            .parts
            .iter()
            .map(|(part, field)| match part {
                KeyPart::Ip => client_text(record, self.ipv6_bits),
                KeyPart::IpNetwork(bits) => client_text(record, *bits),
                KeyPart::Global => "global".to_owned(),
                KeyPart::Route => {
                    self.route.as_ref().map_or_else(String::new, |it| it.as_str().to_owned())
                }
                KeyPart::Path(name) => {
                    let path = record.text(TextField::Path).unwrap_or_default();
                    let value = self.route.as_ref().and_then(|it| it.parameter(path, name));
                    String::from_utf8_lossy(&percent_decoded(value.unwrap_or_default()))
                        .into_owned()
                }
                _ => {
                    let value = field.and_then(|field| record.text(field)).unwrap_or_default();
                    String::from_utf8_lossy(value).into_owned()
                }
            })
            .collect();
        parts.join(" + ")
    }
}

fn address_key(record: &LogRecord, bits: u8) -> Option<Key> {
    match (record.address, record.text(TextField::Host)) {
        (Some(address), _) => Some(Network::of(Some(address), bits).key("ip")),
        (None, Some(host)) => Some(Key::tagged("host", [host])),
        (None, None) => None,
    }
}

/// Returns the network that counts as the client, as the library counts it.
fn client_text(record: &LogRecord, bits: u8) -> String {
    match (record.address, record.text(TextField::Host)) {
        (Some(address), _) => match Network::of(Some(address), bits) {
            Network::V6 { first, bits: 128 } => first.to_string(),
            network => network.to_string(),
        },
        (None, Some(host)) => String::from_utf8_lossy(host).into_owned(),
        (None, None) => "no address".to_owned(),
    }
}

fn defined_method(method: &[u8]) -> &[u8] {
    if METHODS.contains(&method) { method } else { b"other" }
}

fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        let value = match rest {
            [b'%', high, low, ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                digit(*high).zip(digit(*low)).map(|(high, low)| (high * 16 + low) as u8)
            }
            _ => None,
        };
        decoded.push(value.unwrap_or(*byte));
        rest = if value.is_some() { rest.get(3..).unwrap_or_default() } else { after };
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(notation: &str, route: Option<&str>, extras: &mut ExtraFields) -> KeyReader {
        let route = route.map(|it| it.parse().unwrap());
        KeyReader::new(&notation.parse().unwrap(), route.as_ref(), 64, extras)
    }

    fn record(address: &str, user: &str, path: &str) -> LogRecord {
        let mut record = LogRecord::default();
        record.address = address.parse().ok();
        for (field, text) in [(TextField::User, user), (TextField::Path, path)] {
            if !text.is_empty() {
                record.set_text(field, text.as_bytes());
            }
        }
        record
    }

    #[test]
    fn networks_of_ipv6_are_one_key() {
        let key = reader("ip", None, &mut ExtraFields::default());
        let read = |address: &str| key.read(&record(address, "", ""));
        assert_eq!(read("2001:db8::1"), read("2001:db8::2"));
        assert_ne!(read("2001:db8::1"), read("2001:db8:0:1::1"));
        assert_eq!(read("::ffff:192.0.2.7"), read("192.0.2.7"));
        assert_eq!(key.text(&record("2001:db8::1", "", ""), false), "2001:db8::/64");
        assert_eq!(key.text(&record("192.0.2.7", "", ""), true), "no key, 192.0.2.7");
        assert_eq!(read(""), ReadKey::Missing);
    }

    #[test]
    fn keys_of_an_access_list_are_equal() {
        let mut extras = ExtraFields::default();
        let key = reader("user", None, &mut extras);
        let expected = Key::tagged("user", ["42"]);
        assert_eq!(key.read(&record("192.0.2.7", "42", "")), ReadKey::Key(expected));
        assert_eq!(key.read(&record("192.0.2.7", "", "")), ReadKey::Missing);
    }

    #[test]
    fn composed_key_needs_all_parts() {
        let key = reader("user+path:tenant", Some("/t/{tenant}"), &mut ExtraFields::default());
        let read = |user: &str, path: &str| key.read(&record("192.0.2.7", user, path));
        assert_eq!(read("ann", "/t/a%20b"), read("ann", "/t/a b"));
        assert_ne!(read("ann", "/t/a"), read("ann", "/t/b"));
        assert_ne!(read("ann", "/t/a"), read("bob", "/t/a"));
        assert_eq!([read("", "/t/a"), read("ann", "/x")], [ReadKey::Missing; 2]);
        assert_eq!(key.text(&record("192.0.2.7", "ann", "/t/a%2"), false), "ann + a%2");
    }

    #[test]
    fn invented_methods_share_one_key() {
        let key = reader("method", None, &mut ExtraFields::default());
        let read = |method: &str| {
            let mut record = LogRecord::default();
            record.set_text(TextField::Method, method.as_bytes());
            key.read(&record)
        };
        assert_eq!(read("FOO"), read("BAR"));
        assert_ne!(read("GET"), read("FOO"));
        assert_ne!(read("GET"), read("POST"));
    }
}
