//! What a request means to a store, and what the store's answer means to the request.

use smallvec::SmallVec;

use super::request::{Asked, Request};
use crate::{
    Decision,
    standing::Standing,
    store::{Bucket, Charge, Operation, Verdict},
};

/// A charge, and the place of the limit that it is of.
#[derive(Clone, Copy)]
pub(super) struct OfLimit<'a> {
    pub(super) limit: usize,
    pub(super) charge: Charge<'a>,
    /// And not of its ban.
    pub(super) is_of_quota: bool,
}

impl Request<'_> {
    pub(super) fn decision(&self, charges: &[OfLimit<'_>], verdict: &Verdict) -> Decision {
        let (quotas, gates): (SmallVec<[_; 1]>, SmallVec<[_; 1]>) = charges
            .iter()
            .zip(verdict.levels())
            .enumerate()
            .filter(|(place, _)| verdict.is_known(*place))
            .map(|(_, it)| it)
            .partition(|(of_limit, _)| of_limit.is_of_quota);
        let policy = |of_limit: &OfLimit<'_>| self.limits[of_limit.limit].policy;
        let standings = quotas.into_iter().map(|(of_limit, level)| {
            Standing::new(policy(of_limit).shared_name().clone(), &of_limit.charge, level)
        });
        let decision = Decision::new(verdict.is_allowed(), standings.collect())
            .by(verdict.mode())
            .denied_for_others(verdict.is_denied_for_others());
        gates.into_iter().fold(decision, |decision, (of_limit, level)| match level.retry_after {
            Some(ban) if of_limit.charge.is_gate && !ban.is_zero() => {
                decision.banned(policy(of_limit), ban).denied()
            }
            _ => decision,
        })
    }

    /// Whether a denial may be for what is about to be given back.
    pub(super) fn may_be_denied_in_error(&self) -> bool {
        let is_other = |asked: &Asked<'_>| asked.key != self.limits[0].key;
        self.guard().is_apart() && self.limits.iter().any(is_other)
    }

    /// A charge for each quota of each limit, and after all of them what there is besides: of their bans and, to be
    /// forgotten, of what is tried.
    pub(super) fn charges(&self, operation: Operation) -> SmallVec<[OfLimit<'_>; 1]> {
        let mut charges = self.quota_charges();
        for (limit, asked) in self.limits.iter().enumerate() {
            let mut besides = SmallVec::<[Charge<'_>; 3]>::new();
            if let Some(escalation) = asked.policy.escalation() {
                match operation {
                    Operation::Check | Operation::Peek if asked.policy.is_in_shadow() => {}
                    Operation::Check | Operation::Peek => besides.push(escalation.gate(&asked.key)),
                    Operation::Reset => besides.extend(escalation.records(&asked.key)),
                    Operation::Charge | Operation::Refund => {}
                }
            }
            if operation == Operation::Reset {
                besides.extend(asked.tried_charges());
            }
            for charge in besides {
                // No two charges of one step have one bucket.
                if charges.iter().all(|known| known.charge.bucket != charge.bucket) {
                    charges.push(OfLimit { limit, charge, is_of_quota: false });
                }
            }
        }
        charges
    }

    pub(super) fn quota_charges(&self) -> SmallVec<[OfLimit<'_>; 1]> {
        let mut charges = SmallVec::<[OfLimit<'_>; 1]>::new();
        for (limit, asked) in self.limits.iter().enumerate() {
            if asked.policy.is_in_shadow() {
                continue;
            }
            let (name, quotas) = asked.policy.on_side(asked.side);
            for (place, quota) in quotas.iter().enumerate() {
                let bucket = |place| Bucket::new(name.as_str(), place, &asked.key);
                let is_its = |known: &OfLimit<'_>| {
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
                let charge = Charge::new(bucket(place), *quota, asked.cost);
                charges.push(OfLimit { limit, charge, is_of_quota: true });
            }
        }
        charges
    }
}
