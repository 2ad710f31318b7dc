//! The HTTP methods that are defined by RFC 9110 or RFC 5789. A client could invent any number of other methods.

use actix_web::http::Method;

/// Returns whether RFC 9110 or RFC 5789 defines this method.
pub(crate) fn is_defined(method: &Method) -> bool {
    const DEFINED: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    DEFINED.contains(method)
}
