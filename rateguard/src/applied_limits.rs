//! Records which limits have been applied to a request, so that each limit counts the request once.

use std::{cell::RefCell, mem};

use actix_rateguard_core::RateGuard;
use actix_web::HttpResponse;
use smallvec::SmallVec;

use crate::{
    Key, Policy,
    count_rule::CountRuleRef,
    limit_check::{LimitCheck, LimitChecks},
};

/// The limits that have been applied to a request.
///
/// A request can pass the same limit several times, for example if an application and one of its scopes use the same
/// policy. The first check, which the outermost middleware makes, counts the request. A repeated check uses the
/// decision of the first check. If the cost of the repeated check is higher than the total that all earlier checks of
/// the limit have counted, the repeated check counts the difference.
#[derive(Default)]
pub(crate) struct AppliedLimits {
    /// A limit has one entry for each check that has counted units, so it has several entries if the cost of a repeated
    /// check was higher.
    limits: RefCell<SmallVec<[AppliedLimit; 1]>>,
}

/// The units of a limit that one check has counted.
struct AppliedLimit {
    guard_id: u64,
    policy: Policy,
    key: Key,
    /// The units that this check has counted.
    cost: u32,
    corrections: Corrections,
}

/// The corrections that repeated checks require after the response. The middleware of the first check makes them,
/// because only this middleware has the reservation of the units and can refund the units.
#[derive(Clone, Copy, Default)]
pub(crate) struct Corrections {
    /// Whether the response makes the request count under the rule of a repeated check.
    pub(crate) counts_request: bool,
    /// Whether the response counts towards a ban under the rule of a repeated check.
    pub(crate) is_offence: bool,
    /// The extra units that a handler has added after a repeated check.
    pub(crate) penalty: u32,
}

/// A repeated check of a limit that has already been applied to the request.
pub(crate) struct RepeatedCheck<'a> {
    /// The index of the first entry of the limit.
    applied_index: usize,
    count: CountRuleRef<'a>,
    /// Whether the repeated check counts units itself, because its cost is higher than the sum of all earlier entries
    /// of the limit.
    has_extra_cost: bool,
}

impl<'a> RepeatedCheck<'a> {
    /// Returns the rule that determines which responses count.
    pub(crate) fn count(&self) -> CountRuleRef<'a> {
        self.count
    }

    /// Records that the extra cost of this check has not been counted, because the store failed and the limit fails
    /// open.
    pub(crate) fn drop_extra_cost(&mut self) {
        self.has_extra_cost = false;
    }
}

impl AppliedLimits {
    /// Removes the checks of limits that have already been applied, and returns them as repeated checks. If the cost of
    /// a check is higher than the sum of all entries of the limit, the check also remains in the list, with the
    /// difference as its cost.
    pub(crate) fn split_repeated<'a>(
        &self,
        guard: &RateGuard,
        checks: &mut LimitChecks<'a>,
    ) -> Vec<RepeatedCheck<'a>> {
        let limits = self.limits.borrow();
        let mut repeated = Vec::new();
        if limits.is_empty() {
            return repeated;
        }
        for mut check in mem::take(checks) {
            let is_same = |it: &AppliedLimit| {
                // Plans may give two limits with the same name different quotas. In this case, both quotas must apply,
                // so the check is not a repeated check.
                it.guard_id == guard.id()
                    && it.key == check.key
                    && it.policy.shared_name() == check.policy.shared_name()
                    && it.policy.quotas() == check.policy.quotas()
            };
            let Some(applied_index) = limits.iter().position(is_same) else {
                checks.push(check);
                continue;
            };
            // A request whose cost is above the maximum can never be allowed. So this code does not reduce such a cost:
            // with a lower cost, the guard would deny the request only for a time, and the response would have a
            // `Retry-After`.
            if check.cost <= check.policy.max_cost() {
                let costs = limits.iter().filter(|it| is_same(it)).map(|it| it.cost);
                check.cost = check.cost.saturating_sub(costs.fold(0, u32::saturating_add));
            }
            let has_extra_cost = check.cost > 0;
            repeated.push(RepeatedCheck { applied_index, count: check.count, has_extra_cost });
            if has_extra_cost {
                checks.push(check);
            }
        }
        repeated
    }

    /// Adds an entry for each of these checks. Returns the index of the first added entry.
    pub(crate) fn add(&self, guard: &RateGuard, checks: &[LimitCheck<'_>]) -> usize {
        let mut limits = self.limits.borrow_mut();
        let first = limits.len();
        limits.extend(checks.iter().map(|check| AppliedLimit {
            guard_id: guard.id(),
            policy: Policy::clone(&check.policy),
            key: check.key,
            cost: check.cost,
            corrections: Corrections::default(),
        }));
        first
    }

    /// Returns the corrections that repeated checks have recorded for the entry with this index.
    pub(crate) fn corrections(&self, index: usize) -> Corrections {
        self.limits.borrow().get(index).map_or_else(Corrections::default, |it| it.corrections)
    }

    /// Records the corrections of a repeated check, after the response. `penalty` is in units.
    pub(crate) fn record_corrections(
        &self,
        repeated: &RepeatedCheck<'_>,
        response: &HttpResponse<()>,
        penalty: u32,
    ) {
        let counts_request = repeated.count.counts(response);
        if let Some(limit) = self.limits.borrow_mut().get_mut(repeated.applied_index) {
            let corrections = &mut limit.corrections;
            corrections.counts_request |= counts_request;
            corrections.is_offence |= counts_request && !repeated.count.counts_always();
            // If a repeated check has an extra cost, it has its own entry, and the middleware of this check charges the
            // penalty.
            if !repeated.has_extra_cost {
                corrections.penalty = corrections.penalty.saturating_add(penalty);
            }
        }
    }
}
