//! Evaluates one limit for a request without enforcing the limit. Enforcement calls the same functions, so the results
//! agree.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
};

use actix_rateguard_core::adapter::{PolicySet, RouteOverrides};
use actix_web::{Error, HttpRequest};

use super::{Exemption, KeySource, Outcome, RejectReason, UnknownReason};
use crate::{
    AccessList, Caller, Key, MissingKey, Plan, Policy, Quotas, RateGuard,
    applicability::{LimitScope, check_address_lists},
    inventory::{LimitSource, RegisteredLimit},
    middleware::is_preflight,
    response::Rejection,
};
#[cfg(feature = "macros")]
use crate::{attribute::LimitInputs, inventory::AttributeLimit};

/// The key, the policy and the cost to peek at in the store for one limit.
pub(super) struct PeekRequest {
    pub(super) policy: Policy,
    pub(super) key: Key,
    pub(super) cost: u32,
    pub(super) counted_by: KeySource,
}

/// The key, the plan and the cost of a limit for one request, with the values that the policies file sets.
struct ResolvedInputs {
    /// Whether the limit applies to the request.
    applies: bool,
    caller: Result<Caller, Error>,
    plan: Option<Result<Plan, Error>>,
    cost: u32,
}

/// Evaluates a limit for a request.
///
/// # Errors
///
/// The outcome, if the outcome does not depend on the store.
pub(super) async fn evaluate(
    guard: &RateGuard,
    policy_set: &PolicySet,
    source: &LimitSource,
    request: &HttpRequest,
) -> Result<PeekRequest, Outcome> {
    match source {
        #[cfg(feature = "macros")]
        LimitSource::Attribute(limit) => {
            evaluate_attribute(guard, policy_set, limit, request).await
        }
        LimitSource::Middleware(limit) => {
            evaluate_middleware(guard, policy_set, limit, request).await
        }
    }
}

#[cfg(feature = "macros")]
async fn evaluate_attribute(
    guard: &RateGuard,
    policy_set: &PolicySet,
    attribute: &AttributeLimit,
    request: &HttpRequest,
) -> Result<PeekRequest, Outcome> {
    let limit = (attribute.limit)();
    let lists = [&policy_set.access, &guard.http().access];
    check_addresses(&lists, request)?;
    let read_inputs = attribute.inputs.ok_or(Outcome::Unknown(UnknownReason::InHandler))?;
    let all_inputs = catch_panic(read_inputs(policy_set, request)).await?;
    let inputs = all_inputs.into_iter().nth(attribute.index);
    let inputs = inputs.ok_or(Outcome::Unknown(UnknownReason::InHandler))?;
    let named = || policy_set.peek_policy(limit.name()).map(|named| &named.policy);
    let policy = limit.own_policy().or_else(named);
    if limit.conflicts_with_name(guard) {
        return Err(Outcome::Rejected(RejectReason::NameConflict));
    }
    let LimitInputs { applies, caller, plan, cost, .. } = inputs;
    let inputs = ResolvedInputs { applies, caller, plan, cost };
    let overrides = limit.overrides(policy_set);
    let rules = LimitRules { policy, overrides, scope: &limit.scope, lists: &lists };
    rules.peek_request(inputs, policy_set, request)
}

async fn evaluate_middleware(
    guard: &RateGuard,
    policy_set: &PolicySet,
    registered: &RegisteredLimit,
    request: &HttpRequest,
) -> Result<PeekRequest, Outcome> {
    let active = registered.active().ok_or(Outcome::Unknown(UnknownReason::NotRunning))?;
    let limit = active.limit();
    let lists = [&policy_set.access, &guard.http().access, &*active.access];
    check_addresses(&lists, request)?;
    if !active.counts_preflights && is_preflight(request) {
        return Err(Outcome::Exempt(Exemption::Preflight));
    }
    let overrides = limit.overrides(policy_set);
    let read_inputs = async {
        let applies = limit.scope.applies_to(overrides, request);
        if !applies {
            return ResolvedInputs { applies, caller: Ok(Caller::Exempt), plan: None, cost: 0 };
        }
        let caller = match &overrides.key {
            Some(key) => Ok(crate::key::read(&**key, request)),
            None => limit.key.resolve(request).await,
        };
        let plan = match &limit.plan {
            Some(plan) if caller.is_ok() => Some(plan.resolve(request).await),
            _ => None,
        };
        let cost = overrides.cost.unwrap_or_else(|| limit.cost.cost(request));
        ResolvedInputs { applies, caller, plan, cost }
    };
    let inputs = catch_panic(Box::pin(read_inputs)).await?;
    let policy = match limit.is_of_guard {
        true => policy_set.peek_policy(limit.policy.name()).map(|named| &named.policy),
        false => Some(&limit.policy),
    };
    let rules = LimitRules { policy, overrides, scope: &limit.scope, lists: &lists };
    rules.peek_request(inputs, policy_set, request)
}

/// Applies the access lists to the client's address.
fn check_addresses(lists: &[&AccessList], request: &HttpRequest) -> Result<(), Outcome> {
    match check_address_lists(lists, request) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Outcome::Exempt(Exemption::AddressAllowed)),
        Err(_) => Err(Outcome::Rejected(RejectReason::AddressDenied)),
    }
}

/// The rules of a limit, with the values that the policies file sets.
struct LimitRules<'a> {
    policy: Option<&'a Policy>,
    overrides: &'a RouteOverrides,
    scope: &'a LimitScope,
    lists: &'a [&'a AccessList],
}

impl LimitRules<'_> {
    /// Applies the rules in the same order as enforcement.
    fn peek_request(
        self,
        inputs: ResolvedInputs,
        policy_set: &PolicySet,
        request: &HttpRequest,
    ) -> Result<PeekRequest, Outcome> {
        let Self { policy, overrides, scope, lists } = self;
        let policy = policy.ok_or(Outcome::Rejected(RejectReason::NoPolicy))?;
        if !inputs.applies {
            let has_method = scope.has_method(overrides, request);
            let exemption = if has_method { Exemption::Skip } else { Exemption::Method };
            return Err(Outcome::Exempt(exemption));
        }
        let caller = inputs.caller.map_err(function_failed)?;
        let has_key = matches!(caller, Caller::Known(_));
        let key = match scope.key(overrides, caller, lists, request) {
            Ok(Some(counted)) => counted.key,
            Ok(None) => {
                let missing = overrides.missing.unwrap_or(scope.missing);
                return Err(Outcome::Exempt(match (caller, missing) {
                    (Caller::Exempt, _) => Exemption::KeyFunction,
                    (Caller::Unknown, MissingKey::Skip) => Exemption::NoKey,
                    _ => Exemption::KeyAllowed,
                }));
            }
            Err(Rejection::Forbidden) if has_key => {
                return Err(Outcome::Rejected(RejectReason::KeyDenied));
            }
            Err(_) => return Err(Outcome::Rejected(RejectReason::NoKey)),
        };
        let policy = match inputs.plan.transpose().map_err(function_failed)? {
            None => policy.clone(),
            Some(plan) => match plan_quotas(plan, policy_set)? {
                Some(quotas) => policy.with_quotas(quotas),
                None => return Err(Outcome::Exempt(Exemption::Plan)),
            },
        };
        let counted_by = if has_key { KeySource::Key } else { KeySource::Address };
        Ok(PeekRequest { policy, key, cost: inputs.cost, counted_by })
    }
}

/// Returns the quotas of a plan, or `None` if the plan is unlimited.
fn plan_quotas(plan: Plan, policy_set: &PolicySet) -> Result<Option<Arc<Quotas>>, Outcome> {
    let plan = match plan {
        Plan::Named(name) => policy_set.peek_plan(&name).cloned(),
        plan => Some(plan),
    };
    match plan {
        Some(Plan::Limited(quotas)) => Ok(Some(quotas)),
        Some(Plan::Unlimited) => Ok(None),
        Some(_) | None => Err(Outcome::Rejected(RejectReason::NoPlan)),
    }
}

fn function_failed(error: Error) -> Outcome {
    Outcome::Rejected(RejectReason::Function(error.error_response().status().as_u16()))
}

/// Awaits functions of the application, and catches their panics.
///
/// A function may panic because a described request lacks parts of a real request, such as the application's data.
async fn catch_panic<T>(mut future: impl Future<Output = T> + Unpin) -> Result<T, Outcome> {
    poll_fn(|context| {
        let poll = AssertUnwindSafe(|| std::pin::Pin::new(&mut future).poll(context));
        catch_unwind(poll)
            .map_or(Poll::Ready(Err(Outcome::Unknown(UnknownReason::Panicked))), |it| it.map(Ok))
    })
    .await
}
