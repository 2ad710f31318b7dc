//! Checks that a server does not admit more units in memory than its local share of a limit, which is the limit
//! divided by the number of servers. If the store admits units for requests to this server, these units also use
//! up the local share.

use std::collections::BTreeMap;

use actix_rateguard::{Algorithm, store::Operation};

use super::{
    evidence::History,
    history::{DecisionSource, Request},
    limits::{LIMITS, PAGES, quota},
};

/// Units of one policy that were admitted for one client.
struct Admission<'a> {
    /// The server counted the units in memory at some time between `from` and `until`.
    from: u64,
    until: u64,
    units: u64,
    /// Whether the server has certainly counted the units in memory.
    is_certain: bool,
    /// The request, if the server decided on it in memory.
    local: Option<&'a Request>,
}

/// Returns the requests that a server admitted in memory although its local share had no room for them.
///
/// Only policies whose single quota is a sliding-window log are judged. If the store admits units, the server counts
/// them in memory too, but only if the local share has room for them. It is unknown which other units the server has
/// counted before. Therefore such units are certainly counted only if the share has room for them and for all other
/// units that the server may have counted.
#[must_use]
pub fn over_share(history: &History) -> Vec<&Request> {
    let mut found = Vec::new();
    for (policy, (name, _)) in LIMITS.iter().enumerate() {
        let Some(quota) = quota(policy, 0) else { continue };
        // Refunds free units again, so the policy `refund` is not judged.
        let is_single = super::limits::quota(policy, 1).is_none() && *name != "refund";
        // The units of a lease also use the local share, but the history does not show whether they had room in it.
        let is_leased = quota.lease().is_some();
        if quota.algorithm() != Algorithm::SlidingWindow || !is_single || is_leased {
            continue;
        }
        let share = u64::from((quota.limit() / history.servers as u32).max(1));
        let window = quota.window().as_micros() as u64;
        for mut admissions in admissions(history, policy).into_values() {
            // A request that costs more than the share takes the whole share.
            admissions.iter_mut().for_each(|it| it.units = it.units.min(share));
            found.extend(over_share_of_client(admissions, share, window));
        }
    }
    found
}

fn over_share_of_client<'a>(
    mut admissions: Vec<Admission<'a>>,
    share: u64,
    window: u64,
) -> Vec<&'a Request> {
    admissions.sort_by_key(|it| it.until);
    let longest = admissions.iter().map(|it| it.until - it.from).max().unwrap_or(0);
    let mut found = Vec::new();
    for index in 0..admissions.len() {
        let (before, after) = admissions.split_at(index);
        let Some(one) = after.first() else { break };
        let near = before.iter().rev().take_while(|it| it.until + window > one.from);
        // Admissions that the server has certainly counted before this admission, and that are certainly still within
        // the window.
        let certain = near.filter(|it| it.is_certain && it.from + window > one.until);
        let certain: u64 = certain.map(|it| it.units).sum();
        // The server may count simultaneous admissions in any order, so any of them may be counted before this
        // admission.
        let simultaneous = after[1..].iter().take_while(|it| it.until <= one.until + longest);
        let simultaneous = simultaneous.filter(|it| it.from <= one.until);
        let before = before.iter().rev().take_while(|it| it.until + window > one.from);
        let possible: u64 = before.chain(simultaneous).map(|it| it.units).sum();
        let units = one.units;
        let is_mirrored = one.local.is_none();
        if let Some(request) = one.local.filter(|_| certain + units > share) {
            found.push(request);
        }
        if is_mirrored && possible + units > share {
            admissions[index].is_certain = false;
        }
    }
    found
}

/// Returns the admissions of a policy for each client.
fn admissions(history: &History, policy: usize) -> BTreeMap<&str, Vec<Admission<'_>>> {
    let mut clients: BTreeMap<&str, Vec<Admission<'_>>> = BTreeMap::new();
    let mut requests: BTreeMap<u64, &Request> = BTreeMap::new();
    for request in &history.requests {
        requests.insert(request.number, request);
        let Some(page) = PAGES.get(request.page) else { continue };
        let has_policy = page.policies.contains(&LIMITS[policy].0);
        let is_single = page.policies.len() == 1;
        let is_admitted = matches!(request.status, 200 | 204);
        // A denial takes no units if the page has only one policy. If the page has several policies, one policy may
        // have taken units before another policy denied the request, and the history does not show which policy
        // denied.
        let may_take = is_admitted || !is_single;
        if has_policy && request.source == DecisionSource::Memory && may_take {
            clients.entry(&request.client).or_default().push(Admission {
                from: request.received_at,
                until: request.responded_at,
                units: request.cost.into(),
                is_certain: is_single,
                local: is_single.then_some(request),
            });
        }
    }
    let checks = history.calls.iter().filter(|call| call.operation == Operation::Check);
    for check in checks {
        let is_admitted = check.reply.is_some_and(|reply| reply.is_allowed);
        let Some(request) = requests.get(&check.request).filter(|_| is_admitted) else { continue };
        for part in check.parts.iter().filter(|part| part.bucket.policy == policy) {
            clients.entry(&request.client).or_default().push(Admission {
                from: check.ended,
                until: request.responded_at.max(check.ended),
                units: part.cost.into(),
                is_certain: check.parts.len() == 1,
                local: None,
            });
        }
    }
    clients
}
