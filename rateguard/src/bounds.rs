//! Upper bounds for the headers that RateGuard parses.
//!
//! Over HTTP/2, a request of 4 KB can carry megabytes of header values: the compression table stores a value once, and
//! each further byte repeats that value (RFC 7541, section 7.3). RateGuard therefore compares the sizes before it
//! parses a header. A header above its bound counts as absent.
//!
//! If RateGuard reads only the first value of a header (`header:NAME`, `bearer`, `Content-Type`), the header has no
//! bound here. Compression does not multiply a single value, and the HTTP server limits the size of that value.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// The maximum number of values of a header, and of bytes in all of them.
#[derive(Clone, Copy)]
pub(crate) struct HeaderBound {
    values: usize,
    bytes: usize,
}

/// The bound of `Accept`. Browsers send about 150 bytes, so the bound is far above them.
pub(crate) const ACCEPT: HeaderBound = HeaderBound { values: 8, bytes: 1_024 };

/// The bound of `Cookie`. Browsers store cookies of up to 4,096 bytes. Over HTTP/2 they send each cookie in a field of
/// its own (RFC 9113, section 8.2.3). Servers commonly reject requests with more than 8 KB of cookies.
pub(crate) const COOKIE: HeaderBound = HeaderBound { values: 64, bytes: 8_192 };

impl HeaderBound {
    /// Returns whether the header is within the bound. An absent header is within every bound.
    pub(crate) fn permits(self, headers: &HeaderMap, name: &HeaderName) -> bool {
        self.permits_values(headers.get_all(name))
    }

    /// Returns whether the values are within the bound. Reads at most one value beyond the bound, so a huge header
    /// costs little.
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
        // The header is endless, so a check that reads every value would not return.
        for value in ["", "a"] {
            let value = HeaderValue::from_static(value);
            let mut read = 0;
            let values = iter::repeat(&value).inspect(|_| read += 1);
            assert!(!ACCEPT.permits_values(values));
            assert_eq!(read, 9);
        }
    }
}
