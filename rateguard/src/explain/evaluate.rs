//! Evaluates one limit for a request without enforcing the limit.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use actix_rateguard_core::adapter::PolicySet;
use actix_web::HttpRequest;

use super::{Outcome, UnknownReason};
#[cfg(feature = "macros")]
use crate::inventory::AttributeLimit;
use crate::{
    Key, Policy, RateGuard,
    body_key::BufferedBody,
    inventory::{LimitSource, RegisteredLimit},
    limit_check::{KeySource, LimitCheck},
    limit_context::{LimitContext, Purpose},
};

/// The data with which an explanation reads the counts of one limit: the key, the policy and the cost.
pub(super) struct PeekRequest {
    pub(super) policy: Policy,
    pub(super) key: Key,
    pub(super) cost: u32,
    pub(super) counted_by: KeySource,
}

impl From<LimitCheck> for PeekRequest {
    fn from(check: LimitCheck) -> Self {
        let LimitCheck { policy, key, cost, counted_by, .. } = check;
        Self { policy, key, cost, counted_by }
    }
}

/// Evaluates a limit for a request. The function calls the same functions that enforce the limit.
///
/// # Errors
///
/// Returns the outcome as an error if the outcome does not depend on the counts in the store.
pub(super) async fn evaluate(
    guard: &RateGuard,
    policy_set: &PolicySet,
    source: &LimitSource,
    request: &HttpRequest,
) -> Result<PeekRequest, Outcome> {
    let purpose = Purpose::Explain;
    let is_body_read = BufferedBody::is_stored(request);
    let context =
        LimitContext { guard, policy_set, middleware_access: None, purpose, is_body_read };
    let evaluation = async {
        match source {
            #[cfg(feature = "macros")]
            LimitSource::Attribute(limit) => evaluate_attribute(context, limit, request).await,
            LimitSource::Middleware(limit) => evaluate_middleware(context, limit, request).await,
        }
    };
    catch_panic(Box::pin(evaluation)).await?
}

#[cfg(feature = "macros")]
async fn evaluate_attribute(
    context: LimitContext<'_>,
    limit: &AttributeLimit,
    request: &HttpRequest,
) -> Result<PeekRequest, Outcome> {
    context.check_address(request)?;
    let read_inputs = limit.inputs.ok_or(Outcome::Unknown(UnknownReason::InHandler))?;
    let inputs = read_inputs(context.policy_set, request).await.into_iter().nth(limit.index);
    let inputs = inputs.ok_or(Outcome::Unknown(UnknownReason::InHandler))?;
    let inputs = match (inputs.needs_body(), context.is_body_read) {
        (true, true) => inputs.with_body_key(request).await,
        (true, false) => return Err(Outcome::Unknown(UnknownReason::Body)),
        (false, _) => inputs,
    };
    Ok(inputs.into_check(&context, request)?.into())
}

async fn evaluate_middleware(
    context: LimitContext<'_>,
    limit: &RegisteredLimit,
    request: &HttpRequest,
) -> Result<PeekRequest, Outcome> {
    let active = limit.active().ok_or(Outcome::Unknown(UnknownReason::NotRunning))?;
    let context = LimitContext { middleware_access: Some(&active.access), ..context };
    context.check_address(request)?;
    let check = active.limit().check(&context, request).await?;
    check.map(PeekRequest::from).ok_or(Outcome::Unknown(UnknownReason::Body))
}

/// Awaits a future that calls functions of the application, and catches a panic of these functions.
///
/// An explanation evaluates the limits of all routes for one request. A function may panic if the request lacks a
/// part that only exists on the function's own route, such as a path parameter.
async fn catch_panic<T>(mut future: impl Future<Output = T> + Unpin) -> Result<T, Outcome> {
    poll_fn(|context| {
        let poll = AssertUnwindSafe(|| std::pin::Pin::new(&mut future).poll(context));
        catch_unwind(poll)
            .map_or(Poll::Ready(Err(Outcome::Unknown(UnknownReason::Panicked))), |it| it.map(Ok))
    })
    .await
}
