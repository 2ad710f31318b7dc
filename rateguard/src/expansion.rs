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

/// Returns the limit of a quota. This function is separate from [`quota`], so that the compiler reports an invalid
/// limit at the argument `limit`.
///
/// # Panics
///
/// If the limit is invalid. The panic happens at compile time.
#[must_use]
#[track_caller]
pub const fn limit(limit: u32) -> u32 {
    valid(Quota::new(limit, Quota::MAX_WINDOW)).limit()
}

/// Returns the window of a quota. This function is separate from [`quota`], so that the compiler reports an invalid
/// window at the argument `window`.
///
/// # Panics
///
/// If the window is invalid. The panic happens at compile time.
#[must_use]
#[track_caller]
pub const fn window(seconds: u64) -> Duration {
    valid(Quota::new(1, Duration::from_secs(seconds))).window()
}

/// Returns a valid quota. The compiler reports an error at the caller of the functions with `track_caller`, which is
/// the macro attribute.
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

/// Builds a list of quotas that the macro has already validated.
///
/// # Panics
///
/// If the quotas are invalid. The panic happens at the first use of the limit.
#[must_use]
#[allow(clippy::expect_used, reason = "the attribute validates it")]
pub fn quotas(quotas: &[Quota]) -> Quotas {
    Quotas::new(quotas.iter().copied()).expect("the attribute validates the quotas")
}

/// Parses the text of a ban that the macro has already validated.
///
/// # Panics
///
/// If the ban is invalid. The panic happens at the first use of the limit.
#[must_use]
#[allow(clippy::expect_used, reason = "the attribute validates it")]
pub fn ban(text: &str) -> crate::Ban {
    text.parse().expect("the attribute validates the ban")
}

/// Parses the text of the setting `count` that the macro has already validated.
///
/// # Panics
///
/// If the text is invalid. The panic happens at the first use of the limit.
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

/// Returns the function that responds to rejected requests. If `function` is a closure, this signature lets the
/// compiler infer the types of the closure's arguments.
#[must_use]
pub fn on_reject(function: OnRejectFn) -> OnRejectFn {
    function
}

/// Returns the cost of a request in units.
pub fn cost(cost: impl RequestCost, request: &HttpRequest) -> u32 {
    cost.cost(request)
}

/// Returns the cost of a request in units. If `cost` is a closure, this signature lets the compiler infer the type
/// of the closure's argument.
pub fn cost_by(request: &HttpRequest, cost: impl FnOnce(&HttpRequest) -> u32) -> u32 {
    cost(request)
}

/// Reads a built-in key from a request.
#[must_use]
pub fn builtin_key(key: &BuiltinKey, request: &HttpRequest) -> Caller {
    key.caller(request)
}

/// Calls the function `key` to read the key of a request. The value that `key` returns may borrow from the request.
pub async fn caller<'a, V, Kind>(
    request: &'a HttpRequest,
    key: impl FnOnce(&'a HttpRequest) -> V,
) -> Result<Caller, Error>
where
    V: ResolveOutput<Caller, Kind>,
{
    key(request).resolve().await
}

/// Returns the plan that a function chooses for a request.
pub async fn plan<'a, V, Kind>(
    request: &'a HttpRequest,
    plan: impl FnOnce(&'a HttpRequest) -> V,
) -> Result<Plan, Error>
where
    V: ResolveOutput<Plan, Kind>,
{
    plan(request).resolve().await
}
