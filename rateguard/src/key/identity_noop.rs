//! The user of actix-identity without the feature `actix-identity`: no key can be built, so no request has one.

use actix_web::HttpRequest;

/// Whether the feature `actix-identity` is enabled.
pub(super) const IS_ENABLED: bool = false;

pub(super) fn id(_: &HttpRequest) -> Option<String> {
    None
}
