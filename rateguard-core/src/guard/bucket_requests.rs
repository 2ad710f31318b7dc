//! What a request means to a store, and what the store's answer means to the request.

use smallvec::SmallVec;

use super::{
    request::Request,
    requested_limit::{LimitCharge, RequestedLimit},
};
use crate::{
    Decision,
    quota_status::QuotaStatus,
    store::{Bucket, BucketRequest, Operation, Verdict},
};

impl Request<'_> {
    pub(super) fn decision(&self, charges: &[LimitCharge<'_>], verdict: &Verdict) -> Decision {
        let (quotas, gates): (SmallVec<[_; 1]>, SmallVec<[_; 1]>) = charges
            .iter()
            .zip(verdict.levels())
            .enumerate()
            .filter(|(place, _)| verdict.is_known(*place))
            .map(|(_, it)| it)
            .partition(|(of_limit, _)| of_limit.is_of_quota);
        let policy = |of_limit: &LimitCharge<'_>| self.limits[of_limit.limit].policy;
        let standings = quotas.into_iter().map(|(of_limit, level)| {
            QuotaStatus::new(policy(of_limit).shared_name().clone(), &of_limit.charge, level)
        });
        let decision = Decision::new(verdict.is_allowed(), standings.collect())
            .by(verdict.mode())
            .denied_for_others(verdict.is_denied_for_others());
        gates.into_iter().fold(decision, |decision, (of_limit, level)| match level.retry_after {
            Some(ban) if of_limit.charge.check_only && !ban.is_zero() => {
                decision.banned(policy(of_limit), ban).denied()
            }
            _ => decision,
        })
    }

    /// Whether a denial may be for what is about to be given back.
    pub(super) fn may_be_denied_in_error(&self) -> bool {
        let is_other = |asked: &RequestedLimit<'_>| asked.key != self.limits[0].key;
        self.guard().is_cross_slot() && self.limits.iter().any(is_other)
    }

    /// A charge for each quota of each limit, and after all of them what there is besides: of their bans and, to be
    /// forgotten, of what is tried.
    pub(super) fn charges(&self, operation: Operation) -> SmallVec<[LimitCharge<'_>; 1]> {
        let mut charges = self.quota_charges();
        for (limit, asked) in self.limits.iter().enumerate() {
            let mut besides = SmallVec::<[BucketRequest<'_>; 3]>::new();
            if let Some(escalation) = asked.policy.escalation() {
                match operation {
                    Operation::Check | Operation::Peek if asked.policy.is_in_shadow() => {}
                    Operation::Check | Operation::Peek => {
                        besides.push(escalation.ban_check(&asked.key))
                    }
                    Operation::Reset => besides.extend(escalation.records(&asked.key)),
                    Operation::Debit | Operation::Refund => {}
                }
            }
            if operation == Operation::Reset {
                besides.extend(asked.candidate_requests());
            }
            for charge in besides {
                // No two charges of one step have one bucket.
                if charges.iter().all(|known| known.charge.bucket != charge.bucket) {
                    charges.push(LimitCharge { limit, charge, is_of_quota: false });
                }
            }
        }
        charges
    }

    pub(super) fn quota_charges(&self) -> SmallVec<[LimitCharge<'_>; 1]> {
        let mut charges = SmallVec::<[LimitCharge<'_>; 1]>::new();
        for (limit, asked) in self.limits.iter().enumerate() {
            if asked.policy.is_in_shadow() {
                continue;
            }
            let (name, quotas) = asked.policy.quotas_of_variant(asked.side);
            for (place, quota) in quotas.iter().enumerate() {
                let bucket = |place| Bucket::new(name.as_str(), place, &asked.key);
                let is_its = |known: &LimitCharge<'_>| {
                    known.charge.bucket == bucket(place) && known.charge.quota == *quota
                };
                if let Some(known) = charges.iter_mut().find(|known| is_its(known)) {
                    // The same key under the same policy once more.
                    known.charge.cost = known.charge.cost.saturating_add(asked.cost);
                    known.limit = limit;
                    continue;
                }
                // Of another policy of this name, which is a mistake: both are kept to.
                let is_free = |place: &usize| {
                    charges.iter().all(|known| known.charge.bucket != bucket(*place))
                };
                let place = (place..).find(is_free).unwrap_or(place);
                let charge = BucketRequest::new(bucket(place), *quota, asked.cost);
                charges.push(LimitCharge { limit, charge, is_of_quota: true });
            }
        }
        charges
    }
}
