//! Replaces the module that reads sessions if the Cargo feature `actix-session` is disabled. Without the feature,
//! an application cannot create a session key, so `read` is never called.

use actix_web::HttpRequest;

use crate::Key;

/// Whether the Cargo feature `actix-session` is enabled.
pub(super) const IS_ENABLED: bool = false;

/// The version of actix-session that the Cargo feature selects.
pub(crate) const VERSION: &str = "0.11";

pub(super) fn read(_: &HttpRequest, _: &str, _: impl FnOnce(&str) -> Key) -> Option<Key> {
    None
}
