//! Reads the user of actix-identity.

use actix_identity::IdentityExt;
use actix_web::HttpRequest;

/// Whether the Cargo feature `actix-identity` is enabled.
pub(super) const IS_ENABLED: bool = true;

/// Returns the id of the user. The result is `None` if the request has no identity.
pub(super) fn id(request: &HttpRequest) -> Option<String> {
    request.get_identity().ok()?.id().ok()
}
