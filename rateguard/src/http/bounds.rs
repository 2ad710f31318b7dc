//! How large a header may be that is parsed.
//!
//! Over HTTP/2 a request of 4 KB may have megabytes of header values: one value in the compression table, and a byte for each
//! time that it is repeated (RFC 7541, section 7.3). So sizes are compared before anything is parsed, and what is larger is
//! treated as if it was not there.
//!
//! Where the first value alone is read (`header:NAME`, `bearer`, `Content-Type`), the compression cannot multiply it: it has no
//! bound besides that of the server.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// The most that a header may have in all its values together.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    values: usize,
    bytes: usize,
}

/// For `Accept`: browsers send some 150 bytes.
pub(super) const ACCEPT: Bound = Bound { values: 8, bytes: 1_024 };

/// For `Cookie`: browsers keep cookies of up to 4,096 bytes, and over HTTP/2 they send each in a field of its own (RFC 9113,
/// section 8.2.3). Servers commonly refuse more than 8 KB of them.
pub(super) const COOKIE: Bound = Bound { values: 64, bytes: 8_192 };

impl Bound {
    /// Whether the header keeps to it, or is not there at all.
    pub(super) fn holds_for(self, headers: &HeaderMap, name: &HeaderName) -> bool {
        self.holds(headers.get_all(name))
    }

    /// No more values are looked at than one beyond the bound.
    fn holds<'a>(self, values: impl Iterator<Item = &'a HeaderValue>) -> bool {
        let mut bytes_left = self.bytes;
        for (number, value) in values.enumerate() {
            match bytes_left.checked_sub(value.len()) {
                Some(left) if number < self.values => bytes_left = left,
                _ => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    #[test]
    fn bound_holds_up_to_its_values_and_bytes() {
        let bound = Bound { values: 3, bytes: 10 };
        for (values, expected) in [
            (&[][..], true),
            (&["", "", ""], true),
            (&["", "", "", ""], false),
            (&["0123456789"], true),
            (&["01234567890"], false),
            (&["01234", "56789"], true),
            (&["01234", "567890"], false),
        ] {
            let values: Vec<_> = values.iter().map(|it| HeaderValue::from_static(it)).collect();
            assert_eq!(bound.holds(values.iter()), expected, "{values:?}");
        }
    }

    #[test]
    fn bound_looks_at_one_value_beyond_it_at_most() {
        // An endless header, which a look at each value would never come to the end of.
        for value in ["", "a"] {
            let value = HeaderValue::from_static(value);
            let mut looked_at = 0;
            let values = iter::repeat(&value).inspect(|_| looked_at += 1);
            assert!(!ACCEPT.holds(values));
            assert_eq!(looked_at, 9);
        }
    }
}
