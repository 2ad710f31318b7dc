//! Returns the text of a key for an operator.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::Key;

/// The maximum number of characters in the text of a key.
pub(crate) const MAX_TEXT: usize = 64;

/// Returns the text of a key that is not hashed. `None` if the key has only a digest, combines several keys, or can be a
/// credential.
pub(super) fn key_text(key: &Key) -> Option<String> {
    let mut parts = key.parts()?;
    let tag = parts.next()?;
    let parts: Vec<&[u8]> = parts.collect();
    let text = match (tag, &*parts) {
        (b"global", []) => "global".to_owned(),
        (b"value" | b"number" | b"user" | b"identity" | b"route" | b"method", [value]) => {
            String::from_utf8_lossy(value).into_owned()
        }
        // The first part is the name of the field or of the path segment.
        (b"path" | b"json" | b"form", [_, value]) => String::from_utf8_lossy(value).into_owned(),
        (b"parts", parts) => {
            let parts: Vec<_> = parts.iter().map(|it| String::from_utf8_lossy(it)).collect();
            parts.join(", ")
        }
        (b"ipv4", [octets]) | (b"ip", [b"4", octets]) => {
            Ipv4Addr::from(<[u8; 4]>::try_from(*octets).ok()?).to_string()
        }
        (b"ipv6", [octets]) => Ipv6Addr::from(<[u8; 16]>::try_from(*octets).ok()?).to_string(),
        (b"ip", [b"6" | b"6 shared", [bits, ..], octets, ..]) => {
            let first = Ipv6Addr::from(<[u8; 16]>::try_from(*octets).ok()?);
            if *bits == 128 { first.to_string() } else { format!("{first}/{bits}") }
        }
        _ => return None,
    };
    Some(printable(&text))
}

/// Returns the first 64 characters of a text. Characters that are not printable, such as control characters and marks of
/// the direction of text, are escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::new();
    let mut left = MAX_TEXT;
    for character in text.chars() {
        let is_printable = matches!(character, '"' | '\'' | '\\')
            || character.escape_debug().eq(std::iter::once(character));
        let length = if is_printable { 1 } else { character.escape_debug().count() };
        if length > left {
            break;
        }
        left -= length;
        if is_printable {
            printable.push(character);
        } else {
            printable.extend(character.escape_debug());
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::client_address::Network;

    #[test]
    fn text_is_that_of_the_value() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let network = |text: &str, bits| Network::of(Some(address(text)), bits).key("ip");
        for (key, expected) in [
            (Key::from("user-42"), Some("user-42")),
            (Key::from(-7), Some("-7")),
            (Key::from(address("192.0.2.7")), Some("192.0.2.7")),
            (Key::from(address("2001:db8::1")), Some("2001:db8::1")),
            (network("192.0.2.7", 64), Some("192.0.2.7")),
            (network("2001:db8::1", 64), Some("2001:db8::/64")),
            (network("2001:db8::1", 128), Some("2001:db8::1")),
            (Key::from_parts(["tenant", "7"]), Some("tenant, 7")),
            (Key::tagged("user", ["ann"]), Some("ann")),
            (Key::tagged("path", ["id", "7"]), Some("7")),
            (Key::global(), Some("global")),
            (Key::tagged("bearer", ["token"]), None),
            (Key::tagged("header", ["x-api-key", "secret"]), None),
            (Key::tagged("cookie", ["session", "secret"]), None),
            (Key::tagged("session", ["cart", "secret"]), None),
            (Key::from((Key::from("ann"), Key::from(7))), None),
            (Key::from("user-42").digested(), None),
            (Key::from("long".repeat(40)), None),
        ] {
            assert_eq!(key_text(&key).as_deref(), expected);
        }
    }

    #[test]
    fn hostile_texts_are_printable_and_short() {
        assert_eq!(printable("a\n\u{1b}[2J\u{202e}\u{7f}"), "a\\n\\u{1b}[2J\\u{202e}\\u{7f}");
        assert_eq!(printable("<b>\"'\\ é😀"), "<b>\"'\\ é😀");
        assert_eq!(printable(&"x".repeat(99)).len(), MAX_TEXT);
        assert!(printable(&"\u{202e}".repeat(99)).chars().count() <= MAX_TEXT);
        assert_eq!(key_text(&Key::from(&b"\xff\0"[..])).as_deref(), Some("\u{fffd}\\0"));
    }
}
