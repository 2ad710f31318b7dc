//! Reads a value in the session of actix-session.

use actix_session::SessionExt;
use actix_web::HttpRequest;

use crate::Key;

/// Whether the Cargo feature `actix-session` is enabled.
pub(super) const IS_ENABLED: bool = true;

/// The version of actix-session whose sessions RateGuard can read. It is the version in `Cargo.toml`.
pub(crate) const VERSION: &str = "0.11";

/// Returns the key for the JSON text of a value in the session. The result is `None` if the session has no value
/// with this name.
pub(super) fn read(
    request: &HttpRequest,
    name: &str,
    key_of: impl FnOnce(&str) -> Key,
) -> Option<Key> {
    request.get_session().entries().get(name).map(|value| key_of(value))
}
