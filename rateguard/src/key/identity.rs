//! Reads the user of actix-identity.

use std::panic::{self, AssertUnwindSafe};

use actix_identity::IdentityExt;
use actix_rateguard_core::adapter::ThrottledLog;
use actix_web::HttpRequest;

/// Whether the Cargo feature `actix-identity` is enabled.
pub(super) const IS_ENABLED: bool = true;

/// The version of actix-identity whose middleware RateGuard can read. It is the version in `Cargo.toml`.
pub(crate) const VERSION: &str = "0.9";

/// Returns the id of the user. The result is `None` if the request has no identity.
pub(super) fn id(request: &HttpRequest) -> Option<String> {
    // actix-identity panics if its middleware has not handled the request, for example because it is inside of the limit.
    let identity = panic::catch_unwind(AssertUnwindSafe(|| request.get_identity()));
    let Ok(identity) = identity else {
        static LOG: ThrottledLog = ThrottledLog::new();
        if LOG.try_emit().is_some() {
            log::error!(
                target: "rateguard",
                "a limit has the key `identity`, but no `IdentityMiddleware` of actix-identity {VERSION} has handled the request before the limit, so the request has no key. Wrap the application with the middlewares of actix-identity. If the limit is also a middleware, register them after the limit, so that they run first. RateGuard does not find the identities of another version of actix-identity"
            );
        }
        return None;
    };
    identity.ok()?.id().ok()
}
