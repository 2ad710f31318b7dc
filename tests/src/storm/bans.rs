//! Checks two rules: the store denies all checks of a banned key, and the store bans a key only after enough
//! denials.

use std::{collections::BTreeMap, time::Duration};

use actix_rateguard::{Ban, store::Operation};

use super::{
    evidence::{History, StoreEvents},
    history::{Bucket, Request, StoreCall},
    limits::{BANS, LIMITS, PAGES},
};

/// Finds checks that the store admitted while the key was banned.
#[must_use]
pub fn admission_during_ban(servers: &[Vec<StoreCall>], events: &StoreEvents) -> Vec<String> {
    if !events.settings.is_empty() {
        // The end of a ban depends on the store's clock, so bans cannot be judged after a clock step.
        return Vec::new();
    }
    // The decisions for each bucket. Each entry has the time of the decision, the remaining duration of the ban, and
    // the call.
    let mut decisions: BTreeMap<Bucket, Vec<(u64, u64, &StoreCall)>> = BTreeMap::new();
    for call in servers.iter().flatten().filter(|call| call.operation == Operation::Check) {
        let (Some(reply), Some(part)) = (call.reply, call.parts.first()) else { continue };
        let is_banned = reply.banned_for > 0;
        if reply.is_allowed || is_banned {
            let decision = (reply.at, reply.banned_for, call);
            decisions.entry(part.bucket).or_default().push(decision);
        }
    }
    let mut found = Vec::new();
    for of_bucket in decisions.values_mut() {
        of_bucket.sort_unstable_by_key(|(at, ..)| *at);
        // The time of the last reply that reported a ban, and the time at which this ban ends.
        let mut ban = (0, 0);
        for (at, banned_for, call) in of_bucket {
            let (from, until) = ban;
            let is_lost = events.losses.iter().any(|loss| (from..=*at).contains(loss))
                || events.failovers.iter().any(|(lost, killed)| *lost <= from && *killed <= *at);
            if *banned_for > 0 {
                ban = (*at, *at + *banned_for);
            } else if *at + ROUNDING < until && *at > from && !is_lost && has_cost(call) {
                found.push(format!("admitted during a ban until {until}: {call:?}"));
            }
        }
    }
    found
}

fn has_cost(call: &StoreCall) -> bool {
    call.parts.iter().any(|part| part.cost > 0)
}

/// Finds checks that the store denied because of a ban although there were too few denials before the ban.
#[must_use]
pub fn ban_without_offences(servers: &[History], events: &StoreEvents) -> Vec<String> {
    if !events.settings.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, ban) in BANS {
        let Ok(ban) = ban.parse::<Ban>() else { continue };
        // The series of ban durations is endless, but after MAX_BANS bans the durations do not increase.
        let longest = ban.lengths().take(MAX_BANS).max().unwrap_or_default();
        let max_age = micros(ban.offences().window() + longest) + SLACK;
        let denials = denials(servers, name);
        for history in servers {
            let requests: BTreeMap<u64, &Request> =
                history.requests.iter().map(|request| (request.number, request)).collect();
            for call in &history.calls {
                let Some(reply) = call.reply.filter(|reply| reply.banned_for > 0) else { continue };
                let is_its = |part: &super::history::Part| {
                    LIMITS.get(part.bucket.policy).map(|it| it.0) == Some(name)
                };
                let request = requests.get(&call.request);
                let Some(request) = request.filter(|_| call.parts.iter().any(is_its)) else {
                    continue;
                };
                let times = denials.get(&*request.client).map_or(&[][..], Vec::as_slice);
                let first = times.partition_point(|received_at| received_at + max_age < reply.at);
                let last = times.partition_point(|received_at| *received_at <= reply.at);
                let offences = last.saturating_sub(first) as u64;
                if offences < u64::from(ban.offences().limit()) {
                    found.push(format!("banned after {offences} denials: {call:?}"));
                }
            }
        }
    }
    found
}

/// The number of bans after which the duration of a ban does not increase any more.
const MAX_BANS: usize = 32;
/// The tolerance in microseconds for comparisons of times. The tolerance is needed because the store rounds times.
const ROUNDING: u64 = 10;
/// The maximum time in microseconds from the arrival of a request until the guard has recorded its offence. It is
/// long enough for a slow machine.
const SLACK: u64 = 5_000_000;

/// For each client, returns the sorted arrival times of the denied requests to pages with this policy. Denials
/// that the server decided in memory are included, because they are offences too.
fn denials<'a>(servers: &'a [History], policy: &str) -> BTreeMap<&'a str, Vec<u64>> {
    let mut denials: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let requests = servers.iter().flat_map(|history| &history.requests);
    for request in requests.filter(|request| request.status == 429) {
        let policies = PAGES.get(request.page).map_or(&[][..], |page| page.policies);
        if policies.contains(&policy) {
            denials.entry(&request.client).or_default().push(request.received_at);
        }
    }
    denials.values_mut().for_each(|times| times.sort_unstable());
    denials
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}
