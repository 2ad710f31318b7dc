//! The items that the expansion of `#[rate_limit]` uses. These items are not public API and change without notice.

use std::{sync::Arc, time::Duration};

pub use actix_rateguard_core::adapter::{PolicySet, ShadowSpec};
pub use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, Responder, web::Payload};
pub use inventory;

use crate::{
    Algorithm, Caller, Plan, Quota, Quotas,
    cost::IntoCost,
    error::QuotaError,
    key::{BuiltinKey, JoinKey},
    per_request::RequestResolver,
    resolve_output::{CostOutput, KeyOutput, PlanOutput, SkipOutput},
};
pub use crate::{
    attribute::{
        Allowance, HandlerLimit, KeyInput, LimitInputs, LimitedHandler, OnRejectFn, Settings,
        exempt, handler, handler_with_decision, limited,
    },
    inventory::{AttributeLimit, PolicyUse},
    replaced_limits::{Replacement, ReplacementUse},
};

/// Builds a quota. `burst` is `None` for the default burst.
///
/// # Panics
///
/// The function panics at compile time if a value is invalid.
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

/// Returns the quota with a lease. The macro attribute has validated both.
///
/// # Panics
///
/// The function panics at compile time if a value is invalid.
#[must_use]
#[track_caller]
pub const fn leased(quota: Quota, units: u32, duration: Duration) -> Quota {
    valid(quota.with_lease(units, duration))
}

/// Validates the argument `limit` of the macro attribute and returns it unchanged. This function is separate from
/// [`quota`], so that the compiler reports an invalid limit at this argument.
///
/// # Panics
///
/// The function panics at compile time if the limit is invalid.
#[must_use]
#[track_caller]
pub const fn validated_limit(limit: u32) -> u32 {
    valid(Quota::new(limit, Quota::MAX_WINDOW)).limit()
}

/// The type of a constant that is the argument `window`.
#[diagnostic::on_unimplemented(
    message = "expected a window as a number of seconds (`u64`) or as a `Duration`, found `{Self}`",
    label = "expected `u64` or `Duration`",
    note = "a text such as \"10s\" must be a literal in the attribute"
)]
pub trait WindowType: Copy {}

impl WindowType for u64 {}
impl WindowType for Duration {}

/// A constant of type `T` that is the argument `window`.
#[derive(Clone, Copy)]
pub struct ConstantWindow<T>(T);

/// Accepts a constant as window. This function is separate from [`quota`], so that the compiler reports a wrong type
/// and an invalid window at the argument `window`.
#[must_use]
pub const fn constant_window<T: WindowType>(window: T) -> ConstantWindow<T> {
    ConstantWindow(window)
}

// These methods are not in a trait, because the compiler must evaluate them, and it cannot evaluate trait methods.

impl ConstantWindow<u64> {
    /// Returns the window of a quota.
    ///
    /// # Panics
    ///
    /// The method panics at compile time if the window is invalid.
    #[must_use]
    #[track_caller]
    pub const fn __rateguard_window(self) -> Duration {
        ConstantWindow(Duration::from_secs(self.0)).__rateguard_window()
    }
}

impl ConstantWindow<Duration> {
    /// Returns the window of a quota.
    ///
    /// # Panics
    ///
    /// The method panics at compile time if the window is invalid.
    #[must_use]
    #[track_caller]
    pub const fn __rateguard_window(self) -> Duration {
        valid(Quota::new(1, self.0)).window()
    }
}

/// Adds the method to a constant of a wrong type. So the compiler reports only that [`WindowType`] is not implemented,
/// and does not also report that the method is missing.
pub trait InvalidWindow: Sized {
    /// Never called, because [`constant_window`] does not return a value of a wrong type.
    fn __rateguard_window(self) -> Duration {
        Duration::ZERO
    }
}

impl<T> InvalidWindow for ConstantWindow<T> {}

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
/// The function panics at compile time if the quota could never admit a request of this cost.
#[track_caller]
pub const fn check_cost(cost: u32, quota: &Quota) {
    assert!(cost <= quota.max_cost(), "expected a cost of at most the maximum of the quota");
}

/// Builds a list of quotas. The macro or the compiler has already validated them.
///
/// # Panics
///
/// The function panics if the quotas are invalid, which would be a mistake in the macro. It would panic at the first
/// use of the limit.
#[must_use]
#[allow(clippy::expect_used, reason = "the attribute validates it")]
pub fn quotas(quotas: &[Quota]) -> Quotas {
    Quotas::new(quotas.iter().copied()).expect("the attribute validates the quotas")
}

/// Parses the text of quotas with a calendar period. The macro has already validated it.
///
/// # Panics
///
/// The function panics if the text is invalid, which would be a mistake in the macro. It would panic at the first use
/// of the limit.
#[must_use]
#[allow(clippy::expect_used, reason = "the attribute validates it")]
pub fn quotas_of_text(text: &str) -> Quotas {
    text.parse().expect("the attribute validates the quotas")
}

/// Parses the text of a ban. The macro has already validated it.
///
/// # Panics
///
/// The function panics if the ban is invalid, which would be a mistake in the macro. It would panic at the first use of
/// the limit.
#[must_use]
#[allow(clippy::expect_used, reason = "the attribute validates it")]
pub fn ban(text: &str) -> crate::Ban {
    text.parse().expect("the attribute validates the ban")
}

/// Parses the text of the setting `count`. The macro has already validated it.
///
/// # Panics
///
/// The function panics if the text is invalid, which would be a mistake in the macro. It would panic at the first use
/// of the limit.
#[must_use]
#[allow(clippy::expect_used, reason = "the attribute validates it")]
pub fn count(text: &str) -> crate::Count {
    text.parse().expect("the attribute validates the responses that count")
}

/// Returns whether the function `skip` exempts a request from the limit. If `skip` is a closure, this signature
/// lets the compiler infer the type of the closure's argument.
pub async fn skips<'a, V, Kind>(
    request: &'a HttpRequest,
    skip: impl FnOnce(&'a HttpRequest) -> V,
) -> Result<bool, Error>
where
    V: SkipOutput<Kind>,
{
    skip(request).resolve().await
}

/// Returns the argument `on_reject` unchanged. If it is a closure, this signature lets the compiler infer the types of
/// the closure's arguments.
#[must_use]
pub fn on_reject(function: OnRejectFn) -> OnRejectFn {
    function
}

/// Returns the cost of a request in units. The argument `cost` of the macro attribute is a value or the path of a
/// function.
pub async fn cost<Kind>(cost: impl IntoCost<Kind>, request: &HttpRequest) -> Result<u32, Error> {
    cost.resolve(request).await
}

/// Returns the cost of a request in units. The argument `cost` of the macro attribute is a closure. This signature lets
/// the compiler infer the type of the closure's argument. The bound [`IntoCost`] of the function [`cost`] does not let
/// the compiler infer this type.
pub async fn cost_by<'a, V, Kind>(
    request: &'a HttpRequest,
    cost: impl FnOnce(&'a HttpRequest) -> V,
) -> Result<u32, Error>
where
    V: CostOutput<Kind>,
{
    cost(request).resolve().await
}

/// Reads the key that the notation of a built-in key, such as `"ip"`, selects.
#[must_use]
pub fn key_of_notation(key: &BuiltinKey, request: &HttpRequest) -> Caller {
    key.caller(request)
}

/// Returns the input of a limit whose key is in the body, as the notation of a built-in key selects it.
#[must_use]
pub fn body_key_of_notation(key: &'static BuiltinKey) -> KeyInput {
    KeyInput::InBody(RequestResolver::Sync(Arc::new(|request| Ok(key.caller(request)))))
}

/// Returns a function over a body unchanged. The expansion calls this function for a path in a key such as
/// `key::json(account_of)`, so that the path cannot be a text, which would be validated only when a request arrives.
#[must_use]
pub fn body_function<F: Fn(&T) -> V, T, V>(function: F) -> F {
    function
}

/// Returns the input of a limit whose argument `key` is an expression, such as `key::ip().and(key::json(account))`.
pub async fn key_of_expression<Kind>(key: impl JoinKey<Kind>, request: &HttpRequest) -> KeyInput {
    let reads_body = key.reads_body();
    match (reads_body, key.into_part()) {
        (true, resolver) => KeyInput::InBody(resolver),
        (false, resolver) => KeyInput::Caller(resolver.resolve(request).await),
    }
}

/// Calls the function `key` to read the key of a request. The value that `key` returns may borrow from the request.
pub async fn key_of_function<'a, V, Kind>(
    request: &'a HttpRequest,
    key: impl FnOnce(&'a HttpRequest) -> V,
) -> Result<Caller, Error>
where
    V: KeyOutput<Kind>,
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
    V: PlanOutput<Kind>,
{
    plan(request).resolve().await
}
