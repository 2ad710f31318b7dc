//! Whether a server that decides in memory admits no more than its share, with what the store admitted through it.

use std::collections::BTreeMap;

use rateguard::{Algorithm, store::Operation};

use super::{
    history::{Decided, Request},
    limits::{LIMITS, PAGES, SERVERS, quota},
    verdict::History,
};

/// Units that were admitted for a client under a policy.
struct Admission<'a> {
    /// Between these two they were counted in memory.
    from: u64,
    until: u64,
    units: u64,
    /// Whether they were certainly counted, unless there was no room.
    is_certain: bool,
    /// The request, if it was decided in memory.
    local: Option<&'a Request>,
}

/// Requests that were admitted in memory with others beyond the share of their server.
///
/// Only policies of one log are judged. Each unit that the store admits is counted in memory as well, if there is room for
/// it; so it is certain that it was counted if there was room with everything that may have been counted before.
#[must_use]
pub fn beyond_the_share(history: &History) -> Vec<&Request> {
    let mut found = Vec::new();
    for (policy, (name, _)) in LIMITS.iter().enumerate() {
        let Some(quota) = quota(policy, 0) else { continue };
        // What is given back makes room again.
        let is_single = super::limits::quota(policy, 1).is_none() && *name != "refund";
        if quota.algorithm() != Algorithm::SlidingWindow || !is_single {
            continue;
        }
        let share = u64::from((quota.limit() / SERVERS).max(1));
        let window = quota.window().as_micros() as u64;
        for admissions in admissions(history, policy).into_values() {
            found.extend(beyond(admissions, share, window));
        }
    }
    found
}

fn beyond<'a>(mut admissions: Vec<Admission<'a>>, share: u64, window: u64) -> Vec<&'a Request> {
    admissions.sort_by_key(|it| it.until);
    let longest = admissions.iter().map(|it| it.until - it.from).max().unwrap_or(0);
    let mut found = Vec::new();
    for place in 0..admissions.len() {
        let (before, after) = admissions.split_at(place);
        let Some(one) = after.first() else { break };
        let near = before.iter().rev().take_while(|it| it.until + window > one.from);
        // Certainly counted before, and certainly within the window.
        let certain = near.filter(|it| it.is_certain && it.from + window > one.until);
        let certain: u64 = certain.map(|it| it.units).sum();
        // Those may be counted in any order that came at the same time.
        let together = after[1..].iter().take_while(|it| it.until <= one.until + longest);
        let together = together.filter(|it| it.from <= one.until);
        let before = before.iter().rev().take_while(|it| it.until + window > one.from);
        let possible: u64 = before.chain(together).map(|it| it.units).sum();
        let units = one.units;
        let is_mirrored = one.local.is_none();
        if let Some(request) = one.local.filter(|_| certain + units > share) {
            found.push(request);
        }
        if is_mirrored && possible + units > share {
            admissions[place].is_certain = false;
        }
    }
    found
}

/// Of each client, what was admitted under a policy.
fn admissions(history: &History, policy: usize) -> BTreeMap<&str, Vec<Admission<'_>>> {
    let mut clients: BTreeMap<&str, Vec<Admission<'_>>> = BTreeMap::new();
    let mut requests: BTreeMap<u64, &Request> = BTreeMap::new();
    for request in &history.requests {
        requests.insert(request.number, request);
        let Some(page) = PAGES.get(request.page) else { continue };
        let is_its = page.policies.contains(&LIMITS[policy].0);
        let is_single = page.policies.len() == 1;
        let passed = matches!(request.status, 200 | 204);
        // A denial takes nothing; with several policies it is not known which of them denied.
        if is_its && request.decided == Decided::Locally && (passed || !is_single) {
            clients.entry(&request.client).or_default().push(Admission {
                from: request.came,
                until: request.went,
                units: request.cost.into(),
                is_certain: is_single,
                local: is_single.then_some(request),
            });
        }
    }
    let admitted = history.asked.iter().filter(|asked| asked.operation == Operation::Check);
    for asked in admitted {
        let is_admitted = asked.said.is_some_and(|said| said.is_allowed);
        let Some(request) = requests.get(&asked.request).filter(|_| is_admitted) else { continue };
        for part in asked.parts.iter().filter(|part| part.bucket.policy == policy) {
            clients.entry(&request.client).or_default().push(Admission {
                from: asked.ended,
                until: request.went.max(asked.ended),
                units: part.cost.into(),
                is_certain: asked.parts.len() == 1,
                local: None,
            });
        }
    }
    clients
}
