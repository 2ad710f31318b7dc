//! What one limit asks of a request: by the same functions that ask when it is enforced.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
};

use actix_web::{Error, HttpRequest};

use super::{CountedBy, Exemption, Outcome, RefusedBy, WhyUnknown};
#[cfg(feature = "macros")]
use crate::http::{attribute::AskedBy, inventory::Annotated};
use crate::{
    AccessList, Caller, Key, MissingKey, Plan, Policy, Quotas, RateGuard,
    guard::{InForce, Said},
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

/// What a limit says of a request, and what is in force of it.
struct Answers {
    /// The limit is for it.
    applies: bool,
    caller: Result<Caller, Error>,
    plan: Option<Result<Plan, Error>>,
    cost: u32,
}

/// What this limit asks of a request, or what comes of it without asking.
pub(super) async fn look(
    guard: &RateGuard,
    in_force: &InForce,
    source: &Source,
    request: &HttpRequest,
) -> Result<Question, Outcome> {
    match source {
        #[cfg(feature = "macros")]
        Source::Attribute(annotated) => of_attribute(guard, in_force, annotated, request).await,
        Source::Middleware(noted) => of_middleware(guard, in_force, noted, request).await,
    }
}

#[cfg(feature = "macros")]
async fn of_attribute(
    guard: &RateGuard,
    in_force: &InForce,
    annotated: &Annotated,
    request: &HttpRequest,
) -> Result<Question, Outcome> {
    let limit = (annotated.limit)();
    let lists = [&in_force.access, &guard.http().access];
    by_address(&lists, request)?;
    let ask = annotated.asked.ok_or(Outcome::Unknown(WhyUnknown::InHandler))?;
    let asked = unless_it_panics(ask(in_force, request)).await?.into_iter().nth(annotated.place);
    let asked = asked.ok_or(Outcome::Unknown(WhyUnknown::InHandler))?;
    let named = || in_force.known_policy(limit.name()).map(|named| &named.policy);
    let policy = limit.own_policy().or_else(named);
    if limit.has_foreign_name(guard) {
        return Err(Outcome::Refused(RefusedBy::NameConflict));
    }
    let AskedBy { applies, caller, plan, cost, .. } = asked;
    let answers = Answers { applies, caller, plan, cost };
    let asking = Asking { policy, said: limit.said(in_force), terms: &limit.terms, lists: &lists };
    asking.question(answers, in_force, request)
}

async fn of_middleware(
    guard: &RateGuard,
    in_force: &InForce,
    noted: &Noted,
    request: &HttpRequest,
) -> Result<Question, Outcome> {
    let running = noted.running().ok_or(Outcome::Unknown(WhyUnknown::NotRunning))?;
    let limit = running.limit();
    let lists = [&in_force.access, &guard.http().access, &*running.access];
    by_address(&lists, request)?;
    if !running.counts_preflights && is_preflight(request) {
        return Err(Outcome::Exempt(Exemption::Preflight));
    }
    let said = limit.said(in_force);
    let ask = async {
        let applies = limit.terms.apply_to(said, request);
        if !applies {
            return Answers { applies, caller: Ok(Caller::Exempt), plan: None, cost: 0 };
        }
        let caller = match &said.key {
            Some(key) => Ok(key.caller(request)),
            None => limit.by.choose(request).await,
        };
        let plan = match &limit.plan {
            Some(plan) if caller.is_ok() => Some(plan.choose(request).await),
            _ => None,
        };
        let cost = said.cost.unwrap_or_else(|| limit.cost.cost(request));
        Answers { applies, caller, plan, cost }
    };
    let answers = unless_it_panics(Box::pin(ask)).await?;
    let policy = match limit.is_of_guard {
        true => in_force.known_policy(limit.policy.name()).map(|named| &named.policy),
        false => Some(&limit.policy),
    };
    let asking = Asking { policy, said, terms: &limit.terms, lists: &lists };
    asking.question(answers, in_force, request)
}

/// Who is on a list by address, is so for all limits.
fn by_address(lists: &[&AccessList], request: &HttpRequest) -> Result<(), Outcome> {
    match address_admitted(lists, request) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Outcome::Exempt(Exemption::AddressAllowed)),
        Err(_) => Err(Outcome::Refused(RefusedBy::AddressDenied)),
    }
}

/// A limit, as it is in force.
struct Asking<'a> {
    policy: Option<&'a Policy>,
    said: &'a Said,
    terms: &'a Terms,
    lists: &'a [&'a AccessList],
}

impl Asking<'_> {
    /// What is asked, in the order of what is asked when it is enforced.
    fn question(
        self,
        answers: Answers,
        in_force: &InForce,
        request: &HttpRequest,
    ) -> Result<Question, Outcome> {
        let Self { policy, said, terms, lists } = self;
        let policy = policy.ok_or(Outcome::Refused(RefusedBy::NoPolicy))?;
        if !answers.applies {
            let has_method = terms.has_method(said, request);
            let exemption = if has_method { Exemption::Skip } else { Exemption::Method };
            return Err(Outcome::Exempt(exemption));
        }
        let caller = answers.caller.map_err(failed)?;
        let is_known = matches!(caller, Caller::Known(_));
        let key = match terms.key(said, caller, lists, request) {
            Ok(Some(counted)) => counted.key,
            Ok(None) => {
                let missing = said.missing.unwrap_or(terms.missing);
                return Err(Outcome::Exempt(match (caller, missing) {
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
        let policy = match answers.plan.transpose().map_err(failed)? {
            None => policy.clone(),
            Some(plan) => match known(plan, in_force)? {
                Some(quotas) => policy.with_quotas(quotas),
                None => return Err(Outcome::Exempt(Exemption::Plan)),
            },
        };
        let counted_by = if is_known { CountedBy::Key } else { CountedBy::Address };
        Ok(Question { policy, key, cost: answers.cost, counted_by })
    }
}

/// How much a plan admits, `None` if it is unlimited.
fn known(plan: Plan, in_force: &InForce) -> Result<Option<Arc<Quotas>>, Outcome> {
    let plan = match plan {
        Plan::Named(name) => in_force.known_plan(&name).cloned(),
        plan => Some(plan),
    };
    match plan {
        Some(Plan::Limited(quotas)) => Ok(Some(quotas)),
        Some(Plan::Unlimited) => Ok(None),
        Some(Plan::Named(_)) | None => Err(Outcome::Refused(RefusedBy::NoPlan)),
    }
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
