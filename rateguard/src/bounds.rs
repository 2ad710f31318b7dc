//! Upper bounds for the size of the headers that RateGuard parses.
//!
//! Over HTTP/2, a request of 4 KB can contain megabytes of header values, because the compression table stores a
//! value once, and each further byte of the request can repeat this value (RFC 7541, section 7.3). RateGuard
//! therefore compares the size of a header with the bound in this module before it parses the header. If the size
//! exceeds the bound, RateGuard treats the request as a request without this header.
//!
//! RateGuard reads only the first value of some headers (`header:NAME`, `bearer`, `Content-Type`). These headers
//! have no bound in this module, because compression cannot multiply a single value, and the HTTP server limits the
//! size of this value.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// The maximum size of a header: the number of its values, and the total number of bytes in these values.
#[derive(Clone, Copy)]
pub(crate) struct HeaderBound {
    values: usize,
    bytes: usize,
}

/// The bound for `Accept`. Browsers send about 150 bytes, which is far below this bound.
pub(crate) const ACCEPT: HeaderBound = HeaderBound { values: 8, bytes: 1_024 };

/// The bound for `Cookie`. Browsers store cookies of up to 4,096 bytes. Over HTTP/2, a browser may send each cookie
/// in its own header field (RFC 9113, section 8.2.3). Many servers reject requests with more than 8 KB of cookies.
pub(crate) const COOKIE: HeaderBound = HeaderBound { values: 64, bytes: 8_192 };

impl HeaderBound {
    /// Returns whether the size of the header is within the bound. If the request does not have the header, the
    /// result is `true`.
    pub(crate) fn permits(self, headers: &HeaderMap, name: &HeaderName) -> bool {
        self.permits_values(headers.get_all(name))
    }

    /// Returns whether the size of the values is within the bound. The function stops at the first value that
    /// exceeds the bound, so a huge header takes little time.
    fn permits_values<'a>(self, values: impl Iterator<Item = &'a HeaderValue>) -> bool {
        let mut bytes_left = self.bytes;
        for (index, value) in values.enumerate() {
            match bytes_left.checked_sub(value.len()) {
                Some(left) if index < self.values => bytes_left = left,
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
    fn bound_permits_up_to_its_values_and_bytes() {
        let bound = HeaderBound { values: 3, bytes: 10 };
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
            assert_eq!(bound.permits_values(values.iter()), expected, "{values:?}");
        }
    }

    #[test]
    fn bound_reads_at_most_one_value_beyond_it() {
        // The header has endlessly many values, so a function that reads all of them would never return.
        for value in ["", "a"] {
            let value = HeaderValue::from_static(value);
            let mut read = 0;
            let values = iter::repeat(&value).inspect(|_| read += 1);
            assert!(!ACCEPT.permits_values(values));
            assert_eq!(read, 9);
        }
    }
}
