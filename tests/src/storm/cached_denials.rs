//! Checks whether a denial can come from a server's denial cache. For this, the store must recently have denied a
//! check with the policy, the client and the cost of the denied request. In addition, the server must not have
//! observed a change of the bucket after the store's denial.

use std::{collections::BTreeMap, time::Duration};

use actix_rateguard::store::Operation;

use super::{
    history::{Bucket, Request, StoreCall},
    limits::{PAGES, policy_index},
    requests::is_denial,
};

/// The maximum age of a cached denial. It equals the default for guards with a Redis store.
pub const DENIAL_CACHE_TTL: Duration = Duration::from_millis(250);

/// Computes which denials the denial cache of one server may contain.
#[derive(Debug)]
pub struct DenialCacheModel<'a> {
    /// The store's denials for each policy, client and cost, sorted by the start of the call.
    denials: BTreeMap<(usize, &'a str, u32), Vec<&'a StoreCall>>,
    /// The calls that may have changed a bucket. Each entry has the time at which the call ended, and the time at
    /// which the server responded to the HTTP request for which it made the call.
    changes: BTreeMap<Bucket, Vec<(u64, u64)>>,
}

impl<'a> DenialCacheModel<'a> {
    /// Builds the model from the calls and the requests that a server recorded.
    #[must_use]
    pub fn of(calls: &'a [StoreCall], requests: &'a [Request]) -> Self {
        let requests: BTreeMap<u64, &Request> =
            requests.iter().map(|request| (request.number, request)).collect();
        let mut model = Self { denials: BTreeMap::new(), changes: BTreeMap::new() };
        for call in calls {
            let (Some(request), Some(part)) = (requests.get(&call.request), call.parts.first())
            else {
                continue;
            };
            let bucket = part.bucket;
            let is_check = call.operation == Operation::Check;
            if is_check && call.reply.is_none() {
                // A check without a reply may have taken units, but it cannot have returned units. Therefore cached
                // denials stay valid.
                continue;
            }
            if is_check && is_denial(call) {
                // The cache does not store the denial of a check with several keys, because a refund of another
                // request may free units of one of these keys.
                if call.parts.iter().any(|part| part.bucket.key != bucket.key) {
                    continue;
                }
                let identity = (bucket.policy, &*request.client, request.cost);
                model.denials.entry(identity).or_default().push(call);
            } else {
                model.changes.entry(bucket).or_default().push((call.ended, request.responded_at));
            }
        }
        model.denials.values_mut().for_each(|denials| denials.sort_by_key(|it| it.began));
        model.changes.values_mut().for_each(|changes| changes.sort_unstable());
        model
    }

    /// Returns whether a cached denial can explain that the server denied this request.
    ///
    /// For this, the page must have a policy for which the server received no reply from the store, and the cache
    /// may contain a denial by this policy.
    #[must_use]
    pub fn may_deny(&self, request: &Request, checks: &[&StoreCall]) -> bool {
        let policies = PAGES.get(request.page).map_or(&[][..], |page| page.policies);
        let has_reply = |policy: &usize| {
            let with_reply = checks.iter().filter(|check| check.reply.is_some());
            with_reply.flat_map(|check| &check.parts).any(|it| it.bucket.policy == *policy)
        };
        let mut policies = policies.iter().filter_map(|name| policy_index(name));
        policies.any(|policy| !has_reply(&policy) && self.has_denial(policy, request))
    }

    fn has_denial(&self, policy: usize, request: &Request) -> bool {
        let identity = (policy, &*request.client, request.cost);
        let denials = self.denials.get(&identity).map_or(&[][..], Vec::as_slice);
        let max_age = DENIAL_CACHE_TTL.as_micros() as u64;
        let first = denials.partition_point(|it| it.began + max_age <= request.received_at);
        denials[first..].iter().any(|denial| {
            // A cached denial expires as soon as one of the buckets of the denied check may have free units again.
            let changes = denial.parts.iter().map(|part| part.reset_after);
            let age = changes.filter(|after| *after > 0).fold(max_age, u64::min);
            denial.ended <= request.responded_at
                && request.received_at < denial.began + age
                && !self.has_changed(denial, request.received_at)
        })
    }

    /// Returns whether the server certainly received, before the time `by`, the result of a call that may have
    /// changed the bucket after the denial.
    fn has_changed(&self, denial: &StoreCall, by: u64) -> bool {
        let Some(part) = denial.parts.first() else { return false };
        let changes = self.changes.get(&part.bucket).map_or(&[][..], Vec::as_slice);
        let since = changes.partition_point(|(ended, _)| *ended <= denial.began);
        let mut since = changes[since..].iter().take_while(|(ended, _)| *ended < by);
        since.any(|(_, responded_at)| *responded_at < by)
    }
}
