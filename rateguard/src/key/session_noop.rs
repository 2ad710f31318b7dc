//! The values in the session of actix-session without the feature `actix-session`: no key can be built, so no request
//! has one.

use actix_web::HttpRequest;

use crate::Key;

/// Whether the feature `actix-session` is enabled.
pub(super) const IS_ENABLED: bool = false;

pub(super) fn read(_: &HttpRequest, _: &str, _: impl FnOnce(&str) -> Key) -> Option<Key> {
    None
}
