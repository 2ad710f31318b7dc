//! The cost of a request, if the cost depends on the length of the request body.

use std::num::NonZeroU32;

use actix_web::{
    HttpRequest,
    http::{
        Method, Version,
        header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE},
    },
};

use super::RequestCost;

/// A cost that depends on the length of the request body: one unit for each block of a fixed number of bytes. An
/// incomplete last block also costs one unit. The cost is at least 1. RateGuard computes the cost before it reads the
/// body.
///
/// ```
/// # use actix_web::HttpRequest;
/// # use actix_rateguard::{BodyCost, Limit, RequestCost, rate_limit};
/// let uploads = Limit::new("10000/minute").cost(BodyCost::per_bytes(1_024));
///
/// #[rate_limit(rate = "10000/minute", cost = |req| BodyCost::per_bytes(1_024).unknown_length(256).cost(req))]
/// async fn upload(body: String) -> String {
///     body
/// }
/// ```
///
/// The length of the body is the value of `Content-Length`. If the number of blocks is above [`u32::MAX`], the cost is
/// [`u32::MAX`].
///
/// In these cases, the length is unknown, and the cost is the value of [`unknown_length`](Self::unknown_length):
///
/// - The body is chunked (`Transfer-Encoding`).
/// - The request has the header `Upgrade`, and its method is not `GET`, `HEAD` or `OPTIONS`.
/// - The request uses HTTP/2, has no `Content-Length`, and its method is not `GET`, `HEAD` or `OPTIONS`.
///
/// A `GET`, `HEAD` or `OPTIONS` request without `Content-Length` and without `Transfer-Encoding` costs 1, like a
/// request without a body.
///
/// The length is the number of bytes that the client transfers. A compressed body is usually longer after
/// decompression, so its cost can be too low for the work that it causes in the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct BodyCost {
    bytes: NonZeroU32,
    unknown: u32,
}

impl BodyCost {
    /// Creates a cost of one unit for each block of `bytes` bytes. An incomplete last block also costs one unit.
    ///
    /// # Panics
    ///
    /// The function panics if `bytes` is zero. If `bytes` is not a constant, use
    /// [`try_per_bytes`](Self::try_per_bytes), which does not panic.
    #[allow(clippy::panic, reason = "zero is a bug in the application")]
    #[track_caller]
    pub const fn per_bytes(bytes: u32) -> Self {
        match Self::try_per_bytes(bytes) {
            Some(cost) => cost,
            None => panic!("expected at least 1 byte for each unit, found 0"),
        }
    }

    /// Creates a cost of one unit for each block of `bytes` bytes. Returns `None` if `bytes` is zero.
    ///
    /// ```
    /// # use actix_rateguard::BodyCost;
    /// assert_eq!(BodyCost::try_per_bytes(1_024), Some(BodyCost::per_bytes(1_024)));
    /// assert_eq!(BodyCost::try_per_bytes(0), None);
    /// ```
    pub const fn try_per_bytes(bytes: u32) -> Option<Self> {
        match NonZeroU32::new(bytes) {
            Some(bytes) => Some(Self { bytes, unknown: u32::MAX }),
            None => None,
        }
    }

    /// Sets the cost, in units, of a request whose body length is unknown. Default: [`u32::MAX`]. This default is above
    /// every limit, so requests of unknown length are denied.
    ///
    /// If this cost were low, a client could hide the length of a long body to pay less. To allow bodies of unknown
    /// length, limit their size with [`PayloadConfig`](actix_web::web::PayloadConfig), and set `cost` to the cost of a
    /// body that has this maximum size.
    pub const fn unknown_length(mut self, cost: u32) -> Self {
        self.unknown = cost;
        self
    }
}

impl RequestCost for BodyCost {
    fn cost(&self, request: &HttpRequest) -> u32 {
        match body_length(request) {
            Some(bytes) => {
                let units = bytes.div_ceil(u64::from(self.bytes.get())).max(1);
                u32::try_from(units).unwrap_or(u32::MAX)
            }
            None => self.unknown,
        }
    }
}

/// Returns the length of the request body in bytes. The result is `None` if the headers do not determine the
/// length.
fn body_length(request: &HttpRequest) -> Option<u64> {
    let headers = request.headers();
    let is_bodiless = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    // `Transfer-Encoding` and `Upgrade` override `Content-Length` (RFC 9112, section 6.3), so the server may read
    // more bytes than `Content-Length` says.
    if headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    if headers.contains_key(UPGRADE) && !is_bodiless {
        return None;
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH);
    match (lengths.next(), lengths.next()) {
        (Some(length), None) => parse(length.as_bytes()),
        (Some(_), Some(_)) => None,
        (None, _) => {
            // Without `Content-Length` and `Transfer-Encoding`, an HTTP/1 request has no body. An HTTP/2 request
            // may have a body.
            let is_http_1 = request.version() <= Version::HTTP_11;
            (is_http_1 || is_bodiless).then_some(0)
        }
    }
}

/// Parses a decimal number. If the number is above [`u64::MAX`], returns [`u64::MAX`].
fn parse(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let digits = str::from_utf8(digits).ok().filter(|_| is_number)?;
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn cost(request: TestRequest) -> u32 {
        BodyCost::per_bytes(1_024).unknown_length(77).cost(&request.to_http_request())
    }

    #[test]
    fn cost_rounds_up_and_saturates() {
        for (length, expected) in [
            ("0", 1),
            ("1", 1),
            ("1024", 1),
            ("1025", 2),
            ("4294967296", 4_194_304),
            ("4398046510080", u32::MAX),
            ("4398046511105", u32::MAX),
            ("18446744073709551615", u32::MAX),
            ("18446744073709551616", u32::MAX),
            ("99999999999999999999999999", u32::MAX),
            ("-1", 77),
            ("+1", 77),
            ("1, 1", 77),
            ("", 77),
            ("many", 77),
        ] {
            let request = TestRequest::post().insert_header((CONTENT_LENGTH, length));
            assert_eq!(cost(request), expected, "{length:?}");
        }
        let request = TestRequest::post().insert_header((CONTENT_LENGTH, "7")).to_http_request();
        assert_eq!(BodyCost::per_bytes(1).cost(&request), 7);
    }

    #[test]
    fn body_of_unknown_length_has_the_configured_or_maximum_cost() {
        let post = || TestRequest::post().insert_header((CONTENT_LENGTH, "1"));
        for request in [
            post().append_header((CONTENT_LENGTH, "1")),
            post().insert_header((TRANSFER_ENCODING, "chunked")),
            post().insert_header((UPGRADE, "websocket")),
            TestRequest::get().insert_header((TRANSFER_ENCODING, "chunked")),
            TestRequest::post().version(Version::HTTP_2),
            TestRequest::delete().version(Version::HTTP_2),
        ] {
            assert_eq!(cost(request), 77);
        }
        for request in [
            TestRequest::post(),
            TestRequest::get().version(Version::HTTP_2),
            TestRequest::get().insert_header((UPGRADE, "websocket")),
            post().version(Version::HTTP_2),
        ] {
            assert_eq!(cost(request), 1);
        }
        let chunked = TestRequest::post().insert_header((TRANSFER_ENCODING, "chunked"));
        assert_eq!(BodyCost::per_bytes(1_024).cost(&chunked.to_http_request()), u32::MAX);
    }
}
