//! The items that the expansion of `#[rate_limit]` uses. These items are not public API and change without notice.

use std::time::Duration;

pub use actix_rateguard_core::adapter::{PolicySet, ShadowSpec};
pub use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, Responder, web::Payload};
pub use inventory;

use crate::{
    Algorithm, Caller, Plan, Quota, Quotas, RequestCost, error::QuotaError, key::BuiltinKey,
    resolve_output::ResolveOutput,
};
pub use crate::{
    attribute::{
        Allowance, HandlerLimit, LimitInputs, LimitedHandler, OnRejectFn, Settings, handler,
        limited,
    },
    inventory::{AttributeLimit, PolicyUse},
};

/// Builds a quota. `burst` is `None` for the default burst.
///
/// # Panics
///
/// If a value is invalid. The panic happens at compile time.
#[must_use]
#[track_caller]
pub const fn quota(
    limit: u32,
    window: Duration,
    algorithm: Algorithm,
    burst: Option<u32>,
) -> Quota {
    let quota = valid(valid(Quota::new(limit, window)).with_algorithm(algorithm));
    match burst {
        Some(burst) => valid(quota.with_burst(burst)),
        None => quota,
    }
}

/// Validates the argument `limit` of the macro attribute and returns it unchanged. This function is separate from
/// [`quota`], so that the compiler reports an invalid limit at this argument.
///
/// # Panics
///
/// If the limit is invalid. The panic happens at compile time.
#[must_use]
#[track_caller]
pub const fn validated_limit(limit: u32) -> u32 {
    valid(Quota::new(limit, Quota::MAX_WINDOW)).limit()
}

/// Validates the argument `window` of the macro attribute, which is in seconds, and converts it into a duration. This
/// function is separate from [`quota`], so that the compiler reports an invalid window at this argument.
///
/// # Panics
///
/// If the window is invalid. The panic happens at compile time.
#[must_use]
#[track_caller]
pub const fn validated_window(seconds: u64) -> Duration {
    valid(Quota::new(1, Duration::from_secs(seconds))).window()
}

/// Returns the quota, or panics if it is invalid. With `track_caller` on this function and on its callers, the compiler
/// reports the panic in the macro attribute, and not here.
#[allow(clippy::panic, reason = "it runs at compile time")]
#[track_caller]
const fn valid(quota: Result<Quota, QuotaError>) -> Quota {
    match quota {
        Ok(quota) => quota,
        Err(error) => panic!("{}", error.as_str()),
    }
}

/// Validates the cost of a request.
///
/// # Panics
///
/// If the quota could never admit a request of this cost. The panic happens at compile time.
#[track_caller]
pub const fn check_cost(cost: u32, quota: &Quota) {
    assert!(cost <= quota.max_cost(), "expected a cost of at most the maximum of the quota");
}

/// Builds a list of quotas. The macro or the compiler has already validated them.
///
/// # Panics
///
/// If the quotas are invalid, which would be a mistake in the macro. The panic would happen at the first use of the
/// limit.
#[must_use]
#[allow(clippy::expect_used, reason = "the attribute validates it")]
pub fn quotas(quotas: &[Quota]) -> Quotas {
    Quotas::new(quotas.iter().copied()).expect("the attribute validates the quotas")
}

/// Parses the text of a ban. The macro has already validated it.
///
/// # Panics
///
/// If the ban is invalid, which would be a mistake in the macro. The panic would happen at the first use of the limit.
#[must_use]
#[allow(clippy::expect_used, reason = "the attribute validates it")]
pub fn ban(text: &str) -> crate::Ban {
    text.parse().expect("the attribute validates the ban")
}

/// Parses the text of the setting `count`. The macro has already validated it.
///
/// # Panics
///
/// If the text is invalid, which would be a mistake in the macro. The panic would happen at the first use of the limit.
#[must_use]
#[allow(clippy::expect_used, reason = "the attribute validates it")]
pub fn count(text: &str) -> crate::Count {
    text.parse().expect("the attribute validates the responses that count")
}

/// Returns whether the function `skip` exempts a request from the limit. If `skip` is a closure, this signature
/// lets the compiler infer the type of the closure's argument.
pub fn skips(request: &HttpRequest, skip: impl FnOnce(&HttpRequest) -> bool) -> bool {
    skip(request)
}

/// Returns the argument `on_reject` unchanged. If it is a closure, this signature lets the compiler infer the types of
/// the closure's arguments.
#[must_use]
pub fn on_reject(function: OnRejectFn) -> OnRejectFn {
    function
}

/// Returns the cost of a request in units. The argument `cost` of the macro attribute is a value or the path of a
/// function.
pub fn cost(cost: impl RequestCost, request: &HttpRequest) -> u32 {
    cost.cost(request)
}

/// Returns the cost of a request in units. The argument `cost` of the macro attribute is a closure. This signature lets
/// the compiler infer the type of the closure's argument. With the bound [`RequestCost`] of [`cost`], it could not.
pub fn cost_by(request: &HttpRequest, cost: impl FnOnce(&HttpRequest) -> u32) -> u32 {
    cost(request)
}

/// Reads the key that the notation of a built-in key, such as `"ip"`, selects.
#[must_use]
pub fn key_of_notation(key: &BuiltinKey, request: &HttpRequest) -> Caller {
    key.caller(request)
}

/// Calls the function `key` to read the key of a request. The value that `key` returns may borrow from the request.
pub async fn key_of_function<'a, V, Kind>(
    request: &'a HttpRequest,
    key: impl FnOnce(&'a HttpRequest) -> V,
) -> Result<Caller, Error>
where
    V: ResolveOutput<Caller, Kind>,
{
    key(request).resolve().await
}

/// Calls the function `plan` to choose the plan for a request. The value that `plan` returns may borrow from the
/// request.
pub async fn plan<'a, V, Kind>(
    request: &'a HttpRequest,
    plan: impl FnOnce(&'a HttpRequest) -> V,
) -> Result<Plan, Error>
where
    V: ResolveOutput<Plan, Kind>,
{
    plan(request).resolve().await
}
