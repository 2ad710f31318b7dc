//! Translates a request into bucket requests for the store, and translates the store's verdict into a decision.

use smallvec::SmallVec;

use super::{
    request::Request,
    requested_limit::{LimitBucket, PermitUse, RequestedLimit},
};
use crate::{
    Decision,
    quota_status::QuotaStatus,
    store::{Bucket, BucketRequest, Operation, Verdict},
};

impl Request<'_> {
    pub(super) fn decision(&self, buckets: &[LimitBucket<'_>], verdict: &Verdict) -> Decision {
        let (quotas, others): (SmallVec<[_; 1]>, SmallVec<[_; 1]>) = buckets
            .iter()
            .zip(verdict.statuses())
            .enumerate()
            .filter(|(index, _)| verdict.is_known(*index))
            .map(|(_, it)| it)
            .partition(|(bucket, _)| bucket.is_quota);
        let policy = |bucket: &LimitBucket<'_>| &*self.limits[bucket.limit].policy;
        let statuses = quotas.into_iter().map(|(bucket, status)| {
            QuotaStatus::new(policy(bucket).shared_name().clone(), &bucket.request, status)
                .of_limit(bucket.limit)
        });
        let decision = Decision::new(verdict.is_allowed(), statuses.collect())
            .by(verdict.mode())
            .denied_for_others(verdict.is_denied_for_others());
        others.into_iter().fold(decision, |decision, (bucket, status)| match status.retry_after {
            Some(ban) if bucket.request.check_only && !ban.is_zero() => {
                decision.banned(policy(bucket), ban).denied()
            }
            _ => decision,
        })
    }

    /// Whether units of another request may have caused the denial of this request, although the guard refunds these
    /// units a moment later.
    pub(super) fn may_be_denied_in_error(&self) -> bool {
        let is_other = |requested: &RequestedLimit<'_>| requested.key != self.limits[0].key;
        self.guard().is_cross_slot() && self.limits.iter().any(is_other)
    }

    /// Returns one bucket request for each enforced quota of each limit, and then the bucket requests for bans. For a
    /// reset, it also returns bucket requests for the quotas in shadow mode.
    pub(super) fn buckets(&self, operation: Operation) -> SmallVec<[LimitBucket<'_>; 1]> {
        let mut buckets = self.quota_buckets(operation);
        for (limit, requested) in self.limits.iter().enumerate() {
            let mut others = SmallVec::<[BucketRequest<'_>; 3]>::new();
            if let Some(escalation) = requested.policy.escalation() {
                match operation {
                    Operation::Check | Operation::Peek if requested.policy.is_in_shadow() => {}
                    Operation::Check | Operation::Peek => {
                        others.push(escalation.ban_check(&requested.key))
                    }
                    Operation::Reset => others.extend(escalation.records(&requested.key)),
                    Operation::Debit
                    | Operation::Refund
                    | Operation::Renew
                    | Operation::Lease
                    | Operation::Return => {}
                }
            }
            if operation == Operation::Reset {
                others.extend(requested.candidate_requests());
                others.extend(requested.replaced_requests());
            }
            for request in others {
                // All buckets of one store call must be distinct.
                if buckets.iter().all(|earlier| earlier.request.bucket != request.bucket) {
                    buckets.push(LimitBucket { limit, request, is_quota: false });
                }
            }
        }
        buckets
    }

    /// Returns one bucket request for each enforced quota of each limit.
    pub(super) fn quota_buckets(&self, operation: Operation) -> SmallVec<[LimitBucket<'_>; 1]> {
        let mut buckets = SmallVec::<[LimitBucket<'_>; 1]>::new();
        for (limit, requested) in self.limits.iter().enumerate() {
            if requested.policy.is_in_shadow() {
                continue;
            }
            let (name, quotas) = requested.policy.quotas_of_variant(requested.variant);
            for (index, quota) in quotas.iter().enumerate() {
                let has_permits = quota.algorithm().has_permits();
                let bucket = |index| Bucket::new(name.as_str(), index, &requested.key);
                let is_same = |earlier: &LimitBucket<'_>| {
                    earlier.request.bucket == bucket(index) && earlier.request.quota == *quota
                };
                if let Some(earlier) = buckets.iter_mut().find(|earlier| is_same(earlier)) {
                    // The request contains this policy with this key twice, so one bucket request gets the sum of
                    // both costs. A request holds one permit, whatever its cost is.
                    earlier.request.cost = match has_permits {
                        true => earlier.request.cost.max(requested.permits(operation)),
                        false => earlier.request.cost.saturating_add(requested.cost),
                    };
                    earlier.limit = limit;
                    continue;
                }
                // If two policies of a request have the same name but different quotas, the program has made a
                // mistake. The second policy's quotas then get bucket indexes that are still free, so that the store
                // enforces the quotas of both policies.
                let is_free = |index: &usize| {
                    buckets.iter().all(|earlier| earlier.request.bucket != bucket(*index))
                };
                let index = (index..).find(is_free).unwrap_or(index);
                let mut request = BucketRequest::new(bucket(index), *quota, requested.cost);
                if has_permits {
                    request.cost = requested.permits(operation);
                    request.check_only = requested.permit_use == PermitUse::RequireRoom;
                    request.without_lease = !self.guard().has_remote_store();
                }
                buckets.push(LimitBucket { limit, request, is_quota: true });
            }
        }
        buckets
    }
}

impl RequestedLimit<'_> {
    /// Returns the bucket requests for the quotas of the policy that an override has replaced. If the override has
    /// fewer quotas than the policy, a reset must also delete the other buckets of the policy.
    fn replaced_requests(&self) -> impl Iterator<Item = BucketRequest<'_>> {
        self.policy.replaced_quotas().iter().enumerate().map(|(index, quota)| {
            let bucket = Bucket::new(self.policy.name(), index, &self.key);
            BucketRequest::new(bucket, *quota, self.cost)
        })
    }

    /// Returns the number of permits that the operation takes from a quota for requests in progress. A request holds one
    /// permit, also if it costs nothing. A debit is for units that the client has already used, so it takes no permit.
    fn permits(&self, operation: Operation) -> u32 {
        let takes_none = self.permit_use == PermitUse::Ignore || operation == Operation::Debit;
        u32::from(!takes_none)
    }
}
