//! Finds the guard of a handler in the application's data.

use std::{rc::Rc, sync::Arc};

use actix_rateguard_core::{self as core, adapter::ThrottledLog};
use actix_web::{HttpRequest, web};

use super::handler_name::handler_name;
use crate::{BuildError, RateGuard, RateGuardBuilder};

/// Returns the guard for the handler `H` of this request. The application adds the guard with `app_data`, as a
/// `RateGuard` or as a `web::Data<RateGuard>`. If several scopes that contain the handler have a guard of the same
/// form, the guard of the innermost scope is used.
///
/// The result is `None` in two cases, in which the function also logs an error:
///
/// - Neither the application nor a scope that contains the handler has a guard.
/// - There is a `RateGuard` and a `web::Data<RateGuard>` of another guard. actix-web returns the innermost value of
///   each type, but does not reveal which of two values of different types is the inner one.
pub(super) fn guard_of<H>(request: &HttpRequest) -> Option<&RateGuard> {
    let plain = request.app_data::<RateGuard>();
    let in_data = request.app_data::<web::Data<RateGuard>>().map(|data| &***data);
    let (log, problem) = match (plain, in_data) {
        (Some(plain), Some(in_data)) if plain.id() != in_data.id() => {
            static TWO_GUARDS_LOG: ThrottledLog = ThrottledLog::new();
            (
                &TWO_GUARDS_LOG,
                "the application's data has both a `RateGuard` and a `web::Data<RateGuard>` with another guard. actix-web does not reveal which of the two is in the inner scope, so the handler's requests get status 500. Add all guards in the same form, such as `.app_data(guard.clone())`, or set the guard in the attribute with `limiter = …`, an expression that dereferences to a `RateGuard`",
            )
        }
        (None, None) => {
            if let Some(found) = wrapped_guard(request) {
                static WRAPPED_GUARD_LOG: ThrottledLog = ThrottledLog::new();
                if WRAPPED_GUARD_LOG.try_emit().is_some() {
                    log::error!(
                        target: "rateguard",
                        "`{}` is rate-limited, but the application's data has a `{found}` in place of a `RateGuard`, so the handler's requests get status 500. A `RateGuard` is cheap to clone and needs no `Arc`: build it before `HttpServer::new`, and pass the guard itself with `.app_data(guard.clone())` or `.app_data(web::Data::new(guard.clone()))`",
                        handler_name::<H>()
                    );
                }
                return None;
            }
            static NO_GUARD_LOG: ThrottledLog = ThrottledLog::new();
            (
                &NO_GUARD_LOG,
                "there is no `RateGuard` in the application's data, so the handler's requests get status 500. Add `.app_data(guard.clone())` to the `App`, or set the guard in the attribute with `limiter = …`, an expression that dereferences to a `RateGuard`",
            )
        }
        (plain, in_data) => return plain.or(in_data),
    };
    if log.try_emit().is_some() {
        log::error!(target: "rateguard", "`{}` is rate-limited, but {problem}", handler_name::<H>());
    }
    None
}

/// Returns the type of a guard that the application has added in a form that the handler does not find.
fn wrapped_guard(request: &HttpRequest) -> Option<&'static str> {
    macro_rules! first_of {
        ($($type:ty = $name:literal,)*) => {
            $(if request.app_data::<$type>().is_some() {
                return Some($name);
            })*
        };
    }
    first_of! {
        web::Data<web::Data<RateGuard>> = "web::Data<web::Data<RateGuard>>",
        web::Data<Arc<RateGuard>> = "web::Data<Arc<RateGuard>>",
        Arc<RateGuard> = "Arc<RateGuard>",
        Rc<RateGuard> = "Rc<RateGuard>",
        Box<RateGuard> = "Box<RateGuard>",
        Option<RateGuard> = "Option<RateGuard>",
        web::Data<Option<RateGuard>> = "web::Data<Option<RateGuard>>",
        Result<RateGuard, BuildError> = "Result<RateGuard, BuildError>",
        RateGuardBuilder = "RateGuardBuilder",
        core::RateGuard = "RateGuard of actix-rateguard-core",
        web::Data<core::RateGuard> = "web::Data<RateGuard> of actix-rateguard-core",
    }
    None
}
