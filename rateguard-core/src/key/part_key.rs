//! Creates the key for one part of a notation from a value in text form.

use std::{fmt::Write, net::IpAddr};

use actix_rateguard_grammar::KeyPart;

use crate::{Key, client_address::Network};

/// The methods that RFC 9110 and RFC 5789 define. A limit counts all other methods under one name.
const DEFINED_METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];

/// The name under which a limit counts the methods that are not in [`DEFINED_METHODS`].
const OTHER_METHODS: &str = "other";

/// A function that takes a client's address, and returns the network by which limits count this client. The second
/// argument is the prefix length for IPv6. `None` means the prefix length of the guard.
pub type NetworkOf<'a> = dyn Fn(IpAddr, Option<u8>) -> Network + 'a;

/// Returns the key for one part of a notation and a value in text form, for example a value that an operator sent.
///
/// A request whose part has this value has the same key. The result is `None` if no request can have the value.
pub fn part_key(part: &KeyPart, value: &str, network_of: &NetworkOf<'_>) -> Option<Key> {
    match part {
        KeyPart::Ip => Some(network_of(value.parse().ok()?, None).key("ip")),
        KeyPart::IpNetwork(bits) => Some(network_of(value.parse().ok()?, Some(*bits)).key("ip")),
        // All requests share the global key, so it has no value.
        KeyPart::Global => None,
        // A session stores its values as JSON, so the key is made from the JSON text of the value.
        KeyPart::Session(_) => Some(Key::of_part(part, json_text(value).as_bytes())),
        KeyPart::Method => {
            let method = value.to_ascii_uppercase();
            let is_defined = DEFINED_METHODS.contains(&&*method);
            let name = if is_defined { &method } else { OTHER_METHODS };
            Some(Key::of_part(part, name.as_bytes()))
        }
        // The names of headers have no case (RFC 9110, section 5.1).
        KeyPart::Header(name) => {
            Some(Key::of_part(&KeyPart::Header(name.to_ascii_lowercase()), value.as_bytes()))
        }
        part => Some(Key::of_part(part, value.as_bytes())),
    }
}

/// Returns the JSON text of a string, as `serde_json` writes it. Stored keys contain this text, so it must not change.
fn json_text(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            '\0'..='\u{1f}' => {
                // Writing to a `String` cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(part: &str, value: &str) -> Option<Key> {
        let network_of = |address, bits: Option<u8>| Network::of(Some(address), bits.unwrap_or(64));
        part_key(&part.parse().unwrap(), value, &network_of)
    }

    #[test]
    fn equivalent_values_have_one_key() {
        assert_eq!(key("header:X-Api-Key", "a"), key("header:x-api-key", "a"));
        assert_eq!(key("method", "post"), key("method", "POST"));
        assert_eq!(key("method", "BREW"), key("method", "PROPFIND"));
        assert_eq!(key("ip", "2001:db8::1"), key("ip/64", "2001:db8::2"));
        assert_ne!(key("ip", "2001:db8::1"), key("ip/56", "2001:db8::1"));
        assert_eq!(key("ip", "::ffff:192.0.2.7"), key("ip", "192.0.2.7"));
    }

    #[test]
    fn impossible_values_have_no_key() {
        assert_eq!(key("global", ""), None);
        assert_eq!(key("ip", "localhost"), None);
    }

    #[test]
    fn json_text_escapes_quotes_and_control_characters() {
        assert_eq!(json_text("a\"\\\n\u{1}é"), "\"a\\\"\\\\\\n\\u0001é\"");
    }
}
