//! The policies of one request. All limits of the request use the same policy set, also if the policies file changes
//! meanwhile.

use std::{fmt::Display, sync::Arc};

use actix_rateguard_core::{
    RateGuard,
    adapter::{NamedPolicy, PolicySet, PolicySetRef, ThrottledLog},
};
use actix_web::HttpRequest;

use crate::{Plan, Quotas, response::Rejection};

/// Returns the policy set of a request. All limits of one guard on that request get the same set.
pub(crate) fn policy_set<'a>(
    guard: &'a RateGuard,
    #[cfg_attr(not(feature = "config"), allow(unused_variables))] request: &HttpRequest,
) -> PolicySetRef<'a> {
    match guard.policy_set() {
        #[cfg(feature = "config")]
        PolicySetRef::FromFile(current) => PolicySetRef::FromFile(
            crate::file_policies::request_policy_set(guard, request, current),
        ),
        fixed => fixed,
    }
}

/// Returns the guard's policy of this name. `user` is the macro attribute or middleware that names the policy, for the
/// log message.
///
/// # Errors
///
/// [`Rejection::Misconfigured`] if there is no such policy, because a missing policy must not lift a limit.
pub(crate) fn named<'a>(
    policy_set: &'a PolicySet,
    name: &str,
    user: impl Display,
) -> Result<&'a NamedPolicy, Rejection> {
    policy_set.policy(name).ok_or_else(|| {
        static LOG: ThrottledLog = ThrottledLog::new();
        if LOG.try_emit().is_some() {
            log::error!(
                target: "rateguard",
                "{user} names the policy `{name}`, but its guard has no policy of this name. Its requests are rejected with 500. Add the policy with `RateGuard::builder().policy(…)`"
            );
        }
        Rejection::Misconfigured
    })
}

/// Returns the quotas of a plan, or `None` if the plan is unlimited.
///
/// # Errors
///
/// [`Rejection::Misconfigured`] if the plan is named and the guard has no plan of this name.
pub(crate) fn quotas_of(
    plan: Plan,
    policy_set: &PolicySet,
) -> Result<Option<Arc<Quotas>>, Rejection> {
    let plan = match &plan {
        Plan::Named(name) => policy_set.plan(name),
        plan => Some(plan),
    };
    match plan {
        Some(Plan::Limited(quotas)) => Ok(Some(Arc::clone(quotas))),
        Some(Plan::Unlimited) => Ok(None),
        // A named plan never refers to another named plan, so the lookup never returns `Named`.
        Some(_) | None => {
            static LOG: ThrottledLog = ThrottledLog::new();
            if LOG.try_emit().is_some() {
                log::error!(
                    target: "rateguard",
                    "a function chose a plan by name, but the guard has no plan of this name. The request was rejected with 500. Add the plan with `RateGuard::builder().plan(…)` or under `[plans]` in the policies file"
                );
            }
            Err(Rejection::Misconfigured)
        }
    }
}
