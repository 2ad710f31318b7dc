//! Decodes percent-encoded texts.

use percent_encoding::percent_decode_str;

use crate::RedisUrlError;

/// Decodes a percent-encoded text. A `+` stays a `+`. Returns an error for a `%` without two hexadecimal digits. Such a
/// `%` is probably a character of a password that is not percent-encoded.
pub(super) fn decode(text: &str) -> Result<String, RedisUrlError> {
    let begins_with_digits = |part: &str| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    // The library would return such a `%` unchanged.
    if !text.split('%').skip(1).all(begins_with_digits) {
        return Err(RedisUrlError::Malformed);
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| RedisUrlError::Malformed)?;
    Ok(decoded.into_owned())
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
