//! Whether bans hold, and whether each of them had a reason.

use std::{collections::BTreeMap, time::Duration};

use rateguard::{Ban, store::Operation};

use super::{
    history::{Asked, Bucket, Request},
    limits::{BANS, LIMITS, PAGES},
    verdict::{Happened, History},
};

/// Checks that the store admitted while it had said that the key is banned.
#[must_use]
pub fn admission_during_ban(servers: &[Vec<Asked>], happened: &Happened) -> Vec<String> {
    if !happened.settings.is_empty() {
        // A ban ends by the clock.
        return Vec::new();
    }
    // Of each bucket, when the store decided, how long it was banned then, and what was asked.
    let mut decisions: BTreeMap<Bucket, Vec<(u64, u64, &Asked)>> = BTreeMap::new();
    for asked in servers.iter().flatten().filter(|asked| asked.operation == Operation::Check) {
        let (Some(said), Some(part)) = (asked.said, asked.parts.first()) else { continue };
        let is_banned = said.banned_for > 0;
        if said.is_allowed || is_banned {
            let decision = (said.at, said.banned_for, asked);
            decisions.entry(part.bucket).or_default().push(decision);
        }
    }
    let mut found = Vec::new();
    for of_bucket in decisions.values_mut() {
        of_bucket.sort_unstable_by_key(|(at, ..)| *at);
        // When the store said so, and until when.
        let mut ban = (0, 0);
        for (at, banned_for, asked) in of_bucket {
            let (from, until) = ban;
            let is_lost = happened.losses.iter().any(|loss| (from..=*at).contains(loss));
            if *banned_for > 0 {
                ban = (*at, *at + *banned_for);
            } else if *at + ROUNDING < until && *at > from && !is_lost && takes(asked) {
                found.push(format!("admitted during a ban until {until}: {asked:?}"));
            }
        }
    }
    found
}

fn takes(asked: &Asked) -> bool {
    asked.parts.iter().any(|part| part.cost > 0)
}

/// Checks that the store denied because of a ban before there can have been enough denials to begin one.
#[must_use]
pub fn ban_without_offences(servers: &[History], happened: &Happened) -> Vec<String> {
    if !happened.settings.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, ban) in BANS {
        let Ok(ban) = ban.parse::<Ban>() else { continue };
        // They do not end, and are the longest before this many.
        let longest = ban.lengths().take(MAX_BANS).max().unwrap_or_default();
        let within = micros(ban.offences().window() + longest) + SLACK;
        let denials = denials(servers, name);
        for history in servers {
            let requests: BTreeMap<u64, &Request> =
                history.requests.iter().map(|request| (request.number, request)).collect();
            for asked in &history.asked {
                let Some(said) = asked.said.filter(|said| said.banned_for > 0) else { continue };
                let is_its = |part: &super::history::Part| {
                    LIMITS.get(part.bucket.policy).map(|it| it.0) == Some(name)
                };
                let request = requests.get(&asked.request);
                let Some(request) = request.filter(|_| asked.parts.iter().any(is_its)) else {
                    continue;
                };
                let times = denials.get(&*request.client).map_or(&[][..], Vec::as_slice);
                let first = times.partition_point(|came| came + within < said.at);
                let last = times.partition_point(|came| *came <= said.at);
                let offences = last.saturating_sub(first) as u64;
                if offences < u64::from(ban.offences().limit()) {
                    found.push(format!("banned after {offences} denials: {asked:?}"));
                }
            }
        }
    }
    found
}

/// Bans do not become longer after this many.
const MAX_BANS: usize = 32;
/// The store rounds times to microseconds.
const ROUNDING: u64 = 10;
/// An offence is counted this long after its request came at most: slow machines included.
const SLACK: u64 = 5_000_000;

/// Of each client, when the requests came that were denied, whoever decided, by time.
fn denials<'a>(servers: &'a [History], policy: &str) -> BTreeMap<&'a str, Vec<u64>> {
    let mut denials: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let requests = servers.iter().flat_map(|history| &history.requests);
    for request in requests.filter(|request| request.status == 429) {
        let policies = PAGES.get(request.page).map_or(&[][..], |page| page.policies);
        if policies.contains(&policy) {
            denials.entry(&request.client).or_default().push(request.came);
        }
    }
    denials.values_mut().for_each(|times| times.sort_unstable());
    denials
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}
