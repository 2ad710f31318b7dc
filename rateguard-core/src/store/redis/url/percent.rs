//! Decodes percent-encoded texts.

use crate::RedisUrlError;

/// Decodes a percent-encoded text. A `+` stays a `+`. Returns an error for a `%` without two hexadecimal digits, which
/// is probably a character of a password that is not percent-encoded.
pub(super) fn decode(text: &str) -> Result<String, RedisUrlError> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or(RedisUrlError::Malformed)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(RedisUrlError::Malformed);
        }
        decoded.push(u8::from_str_radix(digits, 16).map_err(|_| RedisUrlError::Malformed)?);
        decoded.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(decoded).map_err(|_| RedisUrlError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_decoded_or_rejected() {
        for (text, expected) in [
            ("", Some("")),
            ("a+b", Some("a+b")),
            ("p%40ss%2F%25", Some("p@ss/%")),
            ("%c3%bc", Some("ü")),
            ("ü%20ü", Some("ü ü")),
            ("50%", None),
            ("50%o", None),
            ("50%off", None),
            ("%+1", None),
            ("%ü", None),
            ("%ff", None),
        ] {
            assert_eq!(decode(text).ok().as_deref(), expected, "{text}");
        }
    }
}
