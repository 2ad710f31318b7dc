//! Finds the guard of a handler in the application's data.

use actix_rateguard_core::adapter::ThrottledLog;
use actix_web::{HttpRequest, web};

use super::handler_name::handler_name;
use crate::RateGuard;

/// Returns the guard in the application's data, which contains a `RateGuard` or a `web::Data<RateGuard>`. The guard
/// of an inner scope takes precedence over that of an outer scope and of the application.
///
/// The result is `None` if the handler `H` has no guard. The result is also `None` if the data contains two different
/// guards, one in each form. actix-web returns the innermost value of a type, but does not reveal which of two values
/// of different types is the inner one. In both cases, the function logs an error.
pub(super) fn guard_of<H>(request: &HttpRequest) -> Option<&RateGuard> {
    let plain = request.app_data::<RateGuard>();
    let in_data = request.app_data::<web::Data<RateGuard>>().map(|data| &***data);
    let (log, problem) = match (plain, in_data) {
        (Some(plain), Some(in_data)) if plain.id() != in_data.id() => {
            static LOG: ThrottledLog = ThrottledLog::new();
            (
                &LOG,
                "the application's data has a `RateGuard` and a `web::Data<RateGuard>` of another guard, and actix-web does not reveal which one is in the inner scope, so its requests are rejected with 500. Add all guards in the same form, such as `.app_data(guard.clone())`, or add `limiter = …` to the attribute",
            )
        }
        (None, None) => {
            static LOG: ThrottledLog = ThrottledLog::new();
            (
                &LOG,
                "there is no `RateGuard` in the application's data, so its requests are rejected with 500. Add `.app_data(guard.clone())` to the `App`, or `limiter = …` to the attribute",
            )
        }
        (plain, in_data) => return plain.or(in_data),
    };
    if log.try_emit().is_some() {
        log::error!(target: "rateguard", "`{}` is rate-limited, but {problem}", handler_name::<H>());
    }
    None
}
