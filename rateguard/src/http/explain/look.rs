//! What one limit asks of a request: by the same functions that ask when it is enforced.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{future::poll_fn, task::Poll};

use actix_web::{Error, HttpRequest};

use super::{CountedBy, Exemption, Outcome, RefusedBy, WhyUnknown};
#[cfg(feature = "macros")]
use crate::http::inventory::Annotated;
use crate::{
    AccessList, Caller, Key, MissingKey, Plan, Policy, RateGuard,
    http::{
        inventory::{Noted, Source},
        middleware::is_preflight,
        refusal::Refusal,
        terms::{Terms, address_admitted},
    },
};

/// What is to be asked of the store.
pub(super) struct Question {
    pub(super) policy: Policy,
    pub(super) key: Key,
    pub(super) cost: u32,
    pub(super) counted_by: CountedBy,
}

/// What the functions of a limit say of a request.
struct Said {
    /// The limit is for it.
    applies: bool,
    caller: Result<Caller, Error>,
    plan: Option<Result<Plan, Error>>,
    cost: u32,
}

/// What this limit asks of a request, or what comes of it without asking.
pub(super) async fn look(
    guard: &RateGuard,
    source: &Source,
    request: &HttpRequest,
) -> Result<Question, Outcome> {
    match source {
        #[cfg(feature = "macros")]
        Source::Attribute(annotated) => of_attribute(guard, annotated, request).await,
        Source::Middleware(noted) => of_middleware(guard, noted, request).await,
    }
}

#[cfg(feature = "macros")]
async fn of_attribute(
    guard: &RateGuard,
    annotated: &Annotated,
    request: &HttpRequest,
) -> Result<Question, Outcome> {
    let limit = (annotated.limit)();
    let lists = [&guard.http().access];
    by_address(&lists, request)?;
    let ask = annotated.asked.ok_or(Outcome::Unknown(WhyUnknown::InHandler))?;
    let asked = unless_it_panics(ask(request)).await?.into_iter().nth(annotated.place);
    let asked = asked.ok_or(Outcome::Unknown(WhyUnknown::InHandler))?;
    let named = || guard.policy_now(limit.name());
    let policy = limit.own_policy().cloned().or_else(named);
    let said =
        Said { applies: asked.applies, caller: asked.caller, plan: asked.plan, cost: asked.cost };
    question(policy, &limit.terms, said, &lists, request)
}

async fn of_middleware(
    guard: &RateGuard,
    noted: &Noted,
    request: &HttpRequest,
) -> Result<Question, Outcome> {
    let running = noted.running().ok_or(Outcome::Unknown(WhyUnknown::NotRunning))?;
    let limit = running.limit();
    let lists = [&guard.http().access, &*running.access];
    by_address(&lists, request)?;
    if !running.counts_preflights && is_preflight(request) {
        return Err(Outcome::Exempt(Exemption::Preflight));
    }
    let ask = async {
        let applies = limit.terms.apply_to(request);
        if !applies {
            return Said { applies, caller: Ok(Caller::Exempt), plan: None, cost: 0 };
        }
        let caller = limit.by.choose(request).await;
        let plan = match &limit.plan {
            Some(plan) if caller.is_ok() => Some(plan.choose(request).await),
            _ => None,
        };
        Said { applies, caller, plan, cost: limit.cost.cost(request) }
    };
    let said = unless_it_panics(Box::pin(ask)).await?;
    let named = guard.policy_now(limit.policy.name());
    let policy = named.unwrap_or_else(|| limit.policy.clone());
    question(Some(policy), &limit.terms, said, &lists, request)
}

/// Who is on a list by address, is so for all limits.
fn by_address(lists: &[&AccessList], request: &HttpRequest) -> Result<(), Outcome> {
    match address_admitted(lists, request) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Outcome::Exempt(Exemption::AddressAllowed)),
        Err(_) => Err(Outcome::Refused(RefusedBy::AddressDenied)),
    }
}

/// What is asked, in the order of what is asked when it is enforced.
fn question(
    policy: Option<Policy>,
    terms: &Terms,
    said: Said,
    lists: &[&AccessList],
    request: &HttpRequest,
) -> Result<Question, Outcome> {
    let policy = policy.ok_or(Outcome::Refused(RefusedBy::NoPolicy))?;
    if !said.applies {
        let has_method = terms.methods.is_empty() || terms.methods.contains(request.method());
        let exemption = if has_method { Exemption::Skip } else { Exemption::Method };
        return Err(Outcome::Exempt(exemption));
    }
    let caller = said.caller.map_err(failed)?;
    let is_known = matches!(caller, Caller::Known(_));
    let key = match terms.key(caller, lists, request) {
        Ok(Some(key)) => key,
        Ok(None) => {
            return Err(Outcome::Exempt(match (caller, terms.missing) {
                (Caller::Exempt, _) => Exemption::KeyFunction,
                (Caller::Unknown, MissingKey::Skip) => Exemption::NoKey,
                _ => Exemption::KeyAllowed,
            }));
        }
        Err(Refusal::Forbidden) if is_known => {
            return Err(Outcome::Refused(RefusedBy::KeyDenied));
        }
        Err(_) => return Err(Outcome::Refused(RefusedBy::NoKey)),
    };
    let policy = match said.plan.transpose().map_err(failed)? {
        None => policy,
        Some(Plan::Unlimited) => return Err(Outcome::Exempt(Exemption::Plan)),
        Some(Plan::Limited(quotas)) => policy.with_quotas(quotas),
    };
    let counted_by = if is_known { CountedBy::Key } else { CountedBy::Address };
    Ok(Question { policy, key, cost: said.cost, counted_by })
}

fn failed(error: Error) -> Outcome {
    Outcome::Refused(RefusedBy::Function(error.error_response().status().as_u16()))
}

/// What the user's functions say. They may need what a described request lacks, such as the application's data.
async fn unless_it_panics<T>(mut asked: impl Future<Output = T> + Unpin) -> Result<T, Outcome> {
    poll_fn(|context| {
        let asked = AssertUnwindSafe(|| std::pin::Pin::new(&mut asked).poll(context));
        catch_unwind(asked)
            .map_or(Poll::Ready(Err(Outcome::Unknown(WhyUnknown::Panicked))), |it| it.map(Ok))
    })
    .await
}
