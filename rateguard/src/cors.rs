//! Recognizes CORS preflights, and the responses that a CORS middleware sends to them.

use std::sync::Once;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{
            ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
        },
    },
};

/// Returns whether the request looks like a CORS preflight (Fetch standard, section 3.2.2). A browser sends
/// preflights by itself, before it sends the request of a script.
pub(crate) fn is_preflight(request: &HttpRequest) -> bool {
    // actix-cors passes a request with an invalid method to the handler.
    let is_method = |value: &HeaderValue| Method::from_bytes(value.as_bytes()).is_ok();
    let headers = request.headers();
    *request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.get(ACCESS_CONTROL_REQUEST_METHOD).is_some_and(is_method)
}

/// Returns whether a CORS middleware sent this response to a preflight. In this case, the preflight has not reached a
/// handler.
///
/// Only such a response of actix-cors has both `Access-Control-Allow-Methods` and `Vary` with
/// `Access-Control-Request-Method`. One of these fields is not sufficient: an application may add
/// `Access-Control-Allow-Methods` to all responses, and actix-cors adds this `Vary` to responses of handlers.
///
/// A handler for `OPTIONS` may itself write both header fields, for example behind `Cors::disable_preflight()`. This
/// function cannot distinguish the responses of such a handler from those of a CORS middleware, so the limit does not
/// count these preflights either. The handler does the work of a CORS middleware: it responds to the browser, and not
/// to the script.
pub(crate) fn is_sent_by_cors(response: &HttpResponse<()>) -> bool {
    let name = ACCESS_CONTROL_REQUEST_METHOD.as_str().as_bytes();
    let has_name = |value: &HeaderValue| {
        value.as_bytes().windows(name.len()).any(|part| part.eq_ignore_ascii_case(name))
    };
    let headers = response.headers();
    headers.contains_key(ACCESS_CONTROL_ALLOW_METHODS) && headers.get_all(VARY).any(has_name)
}

/// Logs, once in this process, that a limit is outside of the service that responds to preflights. This service may be a
/// CORS middleware or a handler ([`is_sent_by_cors`]).
pub(crate) fn warn_about_order() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::warn!(
            target: "rateguard",
            "the response to a CORS preflight came from inside a `RateLimit`, so rejections of this limit do not get the CORS headers of the service that responded, and scripts in browsers may be unable to read them. Preflights are also rejected while the limit is used up. Look at this service: if it is the middleware `actix_cors::Cors`, call `.wrap(cors)` after `.wrap(rate_limit)`, because the last `wrap` is the outermost middleware. If it is a handler for `OPTIONS`, limit the other methods only"
        );
    });
}
