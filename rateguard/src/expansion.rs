//! The items that the expansion of `#[rate_limit]` uses. These items are not public API and change without notice.

use std::time::Duration;

pub use actix_rateguard_core::adapter::{PolicySet, ShadowSpec};
pub use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, Responder, web::Payload};
pub use inventory;

use crate::{
    Algorithm, Caller, Plan, Quota, Quotas, RequestCost, key::BuiltinKey,
    resolve_output::ResolveOutput,
};
pub use crate::{
    attribute::{Allowance, HandlerLimit, LimitInputs, OnDeniedFn, Settings, limited},
    inventory::{AttributeLimit, PolicyUse},
};

/// Builds a quota from values that the macro has already validated. `window` is in microseconds.
///
/// # Panics
///
/// If a value is invalid. The panic happens at compile time.
#[allow(clippy::panic, reason = "it runs at compile time")]
pub const fn quota(limit: u32, window: u64, algorithm: Algorithm, capacity: u32) -> Quota {
    let Ok(quota) = Quota::new(limit, Duration::from_micros(window)) else {
        panic!("the attribute validates the limit and the window")
    };
    let Ok(quota) = quota.with_algorithm(algorithm) else {
        panic!("the attribute validates the algorithm")
    };
    if capacity == quota.capacity() {
        return quota;
    }
    match quota.with_burst(capacity) {
        Ok(quota) => quota,
        Err(_) => panic!("the attribute validates the burst"),
    }
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

/// Returns whether the function `skip` exempts a request from the limit. If `skip` is a closure, this signature
/// lets the compiler infer the type of the closure's argument.
pub fn skips(request: &HttpRequest, skip: impl FnOnce(&HttpRequest) -> bool) -> bool {
    skip(request)
}

/// Returns the function that responds to denied requests. If `function` is a closure, this signature lets the
/// compiler infer the types of the closure's arguments.
#[must_use]
pub fn on_denied(function: OnDeniedFn) -> OnDeniedFn {
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
