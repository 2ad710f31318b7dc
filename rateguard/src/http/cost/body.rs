//! A cost by the length of the body.

use actix_web::{
    HttpRequest,
    http::{
        Method, Version,
        header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE},
    },
};

use super::RequestCost;

/// A cost by the length of the body, as it is known before the body is read: a unit for each started number of bytes, and at
/// least one.
///
/// ```
/// # use actix_web::HttpRequest;
/// # use rateguard::{BodyCost, RateGuard, RateLimit, RequestCost, rate_limit};
/// # let guard = RateGuard::in_memory();
/// let uploads = RateLimit::new(&guard, "10000/minute").cost(BodyCost::per_bytes(1_024));
///
/// #[rate_limit(rate = "10000/minute", cost = |req| BodyCost::per_bytes(1_024).unknown_length(256).cost(req))]
/// async fn upload(body: String) -> String {
///     body
/// }
/// ```
///
/// The length is that of `Content-Length`; a length that is too large for a cost is the largest cost. Of a body that comes in
/// chunks (`Transfer-Encoding`), after an `Upgrade`, or over HTTP/2 without `Content-Length`, the length is not known, and the cost
/// is what [`unknown_length`](Self::unknown_length) says. `GET`, `HEAD` and `OPTIONS` without a length are taken to have no body.
///
/// It is the length that is sent: a compressed body may be longer once it is decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct BodyCost {
    bytes: u32,
    unknown: u32,
}

impl BodyCost {
    /// A unit for each started number of this many bytes; 0 is taken for 1.
    pub const fn per_bytes(bytes: u32) -> Self {
        Self { bytes, unknown: u32::MAX }
    }

    /// What a body of unknown length costs. Default: [`u32::MAX`], more than any limit, so that such a request is denied: else a
    /// body would be cheaper when its length is concealed. Where such bodies are to be admitted, bound them
    /// ([`PayloadConfig`](actix_web::web::PayloadConfig)), and say what a body of that bound costs.
    pub const fn unknown_length(mut self, cost: u32) -> Self {
        self.unknown = cost;
        self
    }
}

impl RequestCost for BodyCost {
    fn cost(&self, request: &HttpRequest) -> u32 {
        match body_length(request) {
            Some(bytes) => {
                let units = bytes.div_ceil(self.bytes.max(1).into()).max(1);
                u32::try_from(units).unwrap_or(u32::MAX)
            }
            None => self.unknown,
        }
    }
}

/// How long the body is, if that can be known before it is read.
fn body_length(request: &HttpRequest) -> Option<u64> {
    let headers = request.headers();
    let is_bodiless = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    // Both go before `Content-Length` (RFC 9112, section 6.3): the server then reads on, whatever that says.
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
            // A request over HTTP/1 has no body then; over HTTP/2 it may have one.
            let is_http_1 = request.version() <= Version::HTTP_11;
            (is_http_1 || is_bodiless).then_some(0)
        }
    }
}

/// A number of any size in decimal, the largest if it is larger.
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
        assert_eq!(BodyCost::per_bytes(0).cost(&request), 7);
    }

    #[test]
    fn body_of_unknown_length_costs_what_is_said_or_more_than_any_limit() {
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
