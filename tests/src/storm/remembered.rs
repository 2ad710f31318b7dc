//! Whether a server may have remembered a denial: it has asked the same not long ago, and knew of nothing since that changed it.

use std::{collections::BTreeMap, time::Duration};

use rateguard::store::Operation;

use super::{
    history::{Asked, Bucket, Request},
    limits::{PAGES, number},
    requests::is_denial,
};

/// How long at the most: as guards on Redis do if they are not told otherwise.
pub const REMEMBERED: Duration = Duration::from_millis(250);

/// What one server has been told, and done.
#[derive(Debug)]
pub struct Memory<'a> {
    /// Denials by policy, client and cost, in the order in which they were asked for.
    denials: BTreeMap<(usize, &'a str, u32), Vec<&'a Asked>>,
    /// What may have changed a bucket: when it ended, and when the request had its answer for which it was done.
    changes: BTreeMap<Bucket, Vec<(u64, u64)>>,
}

impl<'a> Memory<'a> {
    /// From what it has asked for which requests.
    #[must_use]
    pub fn of(asked: &'a [Asked], requests: &'a [Request]) -> Self {
        let requests: BTreeMap<u64, &Request> =
            requests.iter().map(|request| (request.number, request)).collect();
        let mut memory = Self { denials: BTreeMap::new(), changes: BTreeMap::new() };
        for asked in asked {
            let (Some(request), Some(part)) = (requests.get(&asked.request), asked.parts.first())
            else {
                continue;
            };
            let bucket = part.bucket;
            let is_check = asked.operation == Operation::Check;
            if is_check && asked.said.is_none() {
                // What it may have taken makes no room, so denials stay.
                continue;
            }
            if is_check && is_denial(asked) {
                // Of several keys another request may give back what it has taken, so these are not remembered.
                if asked.parts.iter().any(|part| part.bucket.key != bucket.key) {
                    continue;
                }
                let question = (bucket.policy, &*request.client, request.cost);
                memory.denials.entry(question).or_default().push(asked);
            } else {
                memory.changes.entry(bucket).or_default().push((asked.ended, request.went));
            }
        }
        memory.denials.values_mut().for_each(|denials| denials.sort_by_key(|it| it.began));
        memory.changes.values_mut().for_each(|changes| changes.sort_unstable());
        memory
    }

    /// Whether it may have denied this request by itself, under a policy about which it did not ask for it, or got no answer.
    #[must_use]
    pub fn may_deny(&self, request: &Request, checks: &[&Asked]) -> bool {
        let policies = PAGES.get(request.page).map_or(&[][..], |page| page.policies);
        let is_asked = |policy: &usize| {
            let answered = checks.iter().filter(|check| check.said.is_some());
            answered.flat_map(|check| &check.parts).any(|it| it.bucket.policy == *policy)
        };
        let mut policies = policies.iter().filter_map(|name| number(name));
        policies.any(|policy| !is_asked(&policy) && self.has_denial(policy, request))
    }

    fn has_denial(&self, policy: usize, request: &Request) -> bool {
        let question = (policy, &*request.client, request.cost);
        let denials = self.denials.get(&question).map_or(&[][..], Vec::as_slice);
        let longest = REMEMBERED.as_micros() as u64;
        let first = denials.partition_point(|it| it.began + longest <= request.came);
        denials[first..].iter().any(|denial| {
            // No longer than until any of its numbers changes by itself.
            let changes = denial.parts.iter().map(|part| part.reset_after);
            let lasts = changes.filter(|after| *after > 0).fold(longest, u64::min);
            denial.ended <= request.went
                && request.came < denial.began + lasts
                && !self.has_changed(denial, request.came)
        })
    }

    /// Whether the server certainly knew by then of something that was not yet done when it asked.
    fn has_changed(&self, denial: &Asked, by: u64) -> bool {
        let Some(part) = denial.parts.first() else { return false };
        let changes = self.changes.get(&part.bucket).map_or(&[][..], Vec::as_slice);
        let since = changes.partition_point(|(ended, _)| *ended <= denial.began);
        let mut since = changes[since..].iter().take_while(|(ended, _)| *ended < by);
        since.any(|(_, went)| *went < by)
    }
}
