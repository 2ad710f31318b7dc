//! Reads one cookie from the headers of a request.

use actix_web::{
    cookie::Cookie,
    http::header::{COOKIE, HeaderMap},
};
use percent_encoding::percent_decode_str;

use crate::bounds;

/// Returns the same cookie as `HttpRequest::cookie`, or `None` if the `Cookie` headers are larger than
/// `bounds::COOKIE`.
///
/// The function parses only the cookie with this name. The bound permits thousands of small cookies, and a function
/// that parses all of them would need about 1 ms.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cookie<'a>> {
    if !bounds::COOKIE.permits(headers, &COOKIE) {
        return None;
    }
    let parse = |pair: &'a str| {
        let (pair_name, _) = pair.split_once('=')?;
        let has_name = percent_decode_str(pair_name.trim()).eq(name.bytes());
        has_name.then(|| Cookie::parse_encoded(pair).ok()).flatten()
    };
    let mut found = None;
    for value in headers.get_all(COOKIE) {
        // `HttpRequest::cookie` fails if the value of any `Cookie` header is not text, even if another `Cookie`
        // header contains the cookie. In this case, this function returns `None`.
        let text = str::from_utf8(value.as_bytes()).ok()?;
        found = found.or_else(|| text.split(';').map(str::trim).find_map(parse));
    }
    found
}

#[cfg(test)]
mod tests {
    use actix_web::{http::header::HeaderValue, test::TestRequest};

    use super::*;

    fn request(values: impl IntoIterator<Item = Vec<u8>>) -> actix_web::HttpRequest {
        let request = TestRequest::default();
        let values = values.into_iter().map(|value| HeaderValue::from_bytes(&value).unwrap());
        values.fold(request, |it, value| it.append_header((COOKIE, value))).to_http_request()
    }

    fn value(request: &actix_web::HttpRequest) -> Option<String> {
        Some(cookie(request.headers(), "sid")?.value().to_owned())
    }

    #[test]
    fn cookie_is_the_same_as_for_handlers() {
        for (values, expected) in [
            (&[&b"sid=7"[..]][..], Some("7")),
            (&[b"a=1; sid=7; b=2"], Some("7")),
            (&[b"a=1", b"sid=7", b"sid=8"], Some("7")),
            (&[b"sid=7;sid=8"], Some("7")),
            (&[b"SID=7"], None),
            (&[b"xsid=7; sidx=8"], None),
            (&[b" sid = 7 "], Some("7")),
            (&[b"sid=\"7\""], Some("7")),
            (&[b"sid=a=b"], Some("a=b")),
            (&[b"sid=%37%20"], Some("7 ")),
            (&[b"%73i%64=7"], Some("7")),
            (&[b"sid=%ff; sid=8"], Some("8")),
            (&[b"sid; =7; ;; sid=8"], Some("8")),
            (&[b"sid="], Some("")),
            (&[b"sid=7", b"\xff"], None),
            (&[b"\xff", b"sid=7"], None),
            (&[], None),
        ] {
            let request = request(values.iter().map(|value| value.to_vec()));
            assert_eq!(value(&request).as_deref(), expected, "{values:?}");
            let handlers = request.cookie("sid").map(|cookie| cookie.value().to_owned());
            assert_eq!(handlers.as_deref(), expected, "{values:?}");
        }
    }

    #[test]
    fn cookies_that_exceed_their_bound_are_absent() {
        // The request has `count` header fields with the name `Cookie`. Each of these fields except the last has
        // `length` bytes.
        let has_cookie = |count: usize, length: usize| {
            let other = format!("o={}", "a".repeat(length - 2)).into_bytes();
            let others = std::iter::repeat_n(other, count - 1);
            value(&request(others.chain([b"sid=7".to_vec()]))).is_some()
        };
        assert!(has_cookie(64, 3));
        assert!(!has_cookie(65, 3));
        assert!(has_cookie(2, 8_192 - 5));
        assert!(!has_cookie(2, 8_192 - 4));
        assert!(!has_cookie(2_000, 2_000));
    }
}
