//! Checks that the response to an HTTP request agrees with the replies of the store.

use std::collections::{BTreeMap, BTreeSet};

use actix_rateguard::store::Operation;

use super::{
    cached_denials::DenialCacheModel,
    history::{DecisionSource, Request, StoreCall},
    limits::{HOLDING, PAGES, policy_index, quota},
};

/// Returns the reason why the response to a request is impossible, or `None` if the response is possible.
///
/// `mode` is the failure mode of the server, and `checks` are the checks that the server made for the request. The
/// server may also have denied the request from its [denial cache](DenialCacheModel).
#[must_use]
pub fn violation(
    mode: &str,
    request: &Request,
    checks: &[&StoreCall],
    denial_cache: &DenialCacheModel<'_>,
) -> Option<&'static str> {
    let limits = PAGES.get(request.page).map_or(0, |page| page.checks);
    if checks.len() > limits {
        return Some("a limit was checked twice");
    }
    let count = |is_allowed| {
        let is_counted = |it: &&&StoreCall| it.reply.is_some_and(|it| it.is_allowed == is_allowed);
        checks.iter().filter(is_counted).count()
    };
    let (admitted, denied) = (count(true), count(false));
    match request.source {
        DecisionSource::Store if is_cached_denial(request, checks) => {
            let may_be = denial_cache.may_deny(request, checks);
            return (!may_be).then_some("denied without a reply, and no cached denial explains it");
        }
        DecisionSource::Lease if !has_lease(request) => {
            return Some("admitted with a lease, but the limit has none");
        }
        DecisionSource::Lease if admitted + denied > 0 => {
            return Some("admitted with a lease, although the store replied");
        }
        DecisionSource::Lease if !matches!(request.status, 200 | 204) => {
            return Some("a lease never denies");
        }
        DecisionSource::Lease => return None,
        DecisionSource::Store if admitted + denied == 0 => {
            return Some("decided by the store, but the store did not reply");
        }
        // Load can make checks fail. A server may then decide in its own memory, regardless of its failure mode.
        DecisionSource::Memory if admitted + denied >= limits => {
            return Some("decided in memory, although the store replied");
        }
        DecisionSource::Undecided if admitted + denied > 0 => {
            return Some("the response lacks the decision");
        }
        _ => {}
    }
    match request.status {
        200 | 204 if denied > 0 => Some("denied by the store, but passed"),
        200 | 204
            if mode == "closed"
                && admitted < limits
                && request.source != DecisionSource::Memory =>
        {
            Some("passed without decision in the mode `closed`")
        }
        200 | 204 if mode == "local" && request.source == DecisionSource::Undecided => {
            Some("passed without decision in the mode `local`")
        }
        429 if denied == 0 && request.source != DecisionSource::Memory => {
            Some("rejected, but not denied")
        }
        503 if mode != "closed" => Some("rejected with 503 in another mode than `closed`"),
        503 if denied > 0 || admitted == limits => {
            Some("rejected with 503, although the store replied")
        }
        200 | 204 | 429 | 503 => None,
        _ => Some("an unexpected status"),
    }
}

/// Requests of one client for the same page that take permits and arrive within this time in microseconds of each
/// other. The server may have recorded the check of one of them as that of the other.
const MIN_DISTANCE: u64 = 30_000;

/// Returns the numbers of the requests for which the server may have recorded the check of another request.
#[must_use]
pub fn with_unknown_checks(requests: &[Request]) -> BTreeSet<u64> {
    let mut arrivals: BTreeMap<(usize, &str), Vec<(u64, u64)>> = BTreeMap::new();
    let takes_permit = |request: &&Request| {
        PAGES.get(request.page).is_some_and(|page| HOLDING.contains(&page.path))
    };
    for request in requests.iter().filter(takes_permit) {
        let of_client = arrivals.entry((request.page, &*request.client)).or_default();
        of_client.push((request.received_at, request.number));
    }
    let mut found = BTreeSet::new();
    for of_client in arrivals.values_mut() {
        of_client.sort_unstable();
        for (one, next) in of_client.iter().zip(of_client.iter().skip(1)) {
            if next.0 - one.0 < MIN_DISTANCE {
                found.extend([one.1, next.1]);
            }
        }
    }
    found
}

/// Returns whether the page of the request has a limit with a lease.
fn has_lease(request: &Request) -> bool {
    let policies = PAGES.get(request.page).map_or(&[][..], |page| page.policies);
    let quotas = policies.iter().filter_map(|name| quota(policy_index(name)?, 0));
    quotas.into_iter().any(|quota| quota.lease().is_some())
}

/// Returns whether neither the store nor the server's memory made a decision on the request.
#[must_use]
pub fn is_undecided(request: &Request) -> bool {
    request.source == DecisionSource::Undecided || request.status == 503
}

/// Returns whether the response reports a denial by the store, although the store denied no check of the request.
#[must_use]
pub fn is_cached_denial(request: &Request, checks: &[&StoreCall]) -> bool {
    let is_denied = checks.iter().any(|it| is_denial(it));
    request.source == DecisionSource::Store && request.status == 429 && !is_denied
}

/// Returns whether the store denied the check.
#[must_use]
pub fn is_denial(call: &StoreCall) -> bool {
    call.reply.is_some_and(|reply| !reply.is_allowed)
}

/// Groups the checks by the number of the HTTP request for which the server made them.
#[must_use]
pub fn checks(calls: &[StoreCall]) -> BTreeMap<u64, Vec<&StoreCall>> {
    let mut checks: BTreeMap<u64, Vec<&StoreCall>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.operation == Operation::Check) {
        checks.entry(call.request).or_default().push(call);
    }
    checks
}
