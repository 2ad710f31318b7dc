//! What is in force for one request, from its first limit to its last.

use std::{fmt::Display, sync::Arc};

use actix_web::HttpRequest;

use super::refusal::Refusal;
use crate::{
    Plan, Quotas, RateGuard,
    guard::{Current, InForce, Line, Named},
};

/// The same for all limits of one guard on one request, though another state may take its place meanwhile.
pub(super) fn in_force<'a>(
    guard: &'a RateGuard,
    #[cfg_attr(not(feature = "config"), allow(unused_variables))] request: &HttpRequest,
) -> Current<'a> {
    match guard.in_force() {
        #[cfg(feature = "config")]
        Current::OfFile(now) => Current::OfFile(file::first_seen(guard, request, now)),
        fixed => fixed,
    }
}

/// The guard's policy of this name. A limit that is not there is never unlimited.
pub(super) fn named<'a>(
    in_force: &'a InForce,
    name: &str,
    who: impl Display,
) -> Result<&'a Named, Refusal> {
    in_force.policy(name).ok_or_else(|| {
        static LINE: Line = Line::new();
        if LINE.say().is_some() {
            log::error!(
                target: "rateguard",
                "{who} names the policy `{name}`, which its guard was not given: `RateGuard::builder().policy(…)`. What it limits is answered with 500 until then"
            );
        }
        Refusal::Misconfigured
    })
}

/// How much a plan admits, `None` if it is unlimited.
pub(super) fn quotas_of(plan: Plan, in_force: &InForce) -> Result<Option<Arc<Quotas>>, Refusal> {
    let plan = match &plan {
        Plan::Named(name) => in_force.plan(name),
        known => Some(known),
    };
    match plan {
        Some(Plan::Limited(quotas)) => Ok(Some(Arc::clone(quotas))),
        Some(Plan::Unlimited) => Ok(None),
        // No plan stands for another.
        Some(Plan::Named(_)) | None => {
            static LINE: Line = Line::new();
            if LINE.say().is_some() {
                log::error!(
                    target: "rateguard",
                    "a request has a plan whose name its guard does not know: `RateGuard::builder().plan(…)`, or `[plans]` in its file. Such requests are answered with 500 until then"
                );
            }
            Err(Refusal::Misconfigured)
        }
    }
}

#[cfg(feature = "config")]
mod file {
    use actix_web::HttpMessage;
    use smallvec::SmallVec;

    use super::{Arc, HttpRequest, InForce, RateGuard};

    /// What the first limit of each guard on this request has seen.
    struct Seen(SmallVec<[(usize, Arc<InForce>); 1]>);

    pub(super) fn first_seen(
        guard: &RateGuard,
        request: &HttpRequest,
        now: Arc<InForce>,
    ) -> Arc<InForce> {
        let mut extensions = request.extensions_mut();
        let Some(Seen(seen)) = extensions.get_mut() else {
            extensions.insert(Seen(SmallVec::from_iter([(guard.id(), Arc::clone(&now))])));
            return now;
        };
        match seen.iter().find(|(id, _)| *id == guard.id()) {
            Some((_, first)) => Arc::clone(first),
            None => {
                seen.push((guard.id(), Arc::clone(&now)));
                now
            }
        }
    }
}
