//! Replaces the module that reads the user of actix-identity if the Cargo feature `actix-identity` is disabled.
//! Without the feature, an application cannot create an identity key, so `id` is never called.

use actix_web::HttpRequest;

/// Whether the Cargo feature `actix-identity` is enabled.
pub(super) const IS_ENABLED: bool = false;

/// The version of actix-identity that the Cargo feature selects.
pub(crate) const VERSION: &str = "0.9";

pub(super) fn id(_: &HttpRequest) -> Option<String> {
    None
}
