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
/// policy. The first check, of the outermost middleware, counts the request. A repeated check uses the first decision,
/// and only counts the units by which its cost is higher.
#[derive(Default)]
pub(crate) struct AppliedLimits {
    limits: RefCell<SmallVec<[AppliedLimit; 1]>>,
}

/// A limit that has been applied to the request.
struct AppliedLimit {
    guard: u64,
    policy: Policy,
    key: Key,
    cost: u32,
    changes: Changes,
}

/// What repeated checks ask the first check of a limit to change. The middleware of the first check makes the changes,
/// because it can refund the units.
#[derive(Clone, Copy, Default)]
pub(crate) struct Changes {
    /// Whether the response makes the request count under the rule of a repeated check.
    pub(crate) counts: bool,
    /// Whether the response is an offence under the rule of a repeated check.
    pub(crate) is_offence: bool,
    /// The extra units that a handler has added after a repeated check.
    pub(crate) penalty: u32,
}

/// A repeated check of a limit that has already been applied to the request.
pub(crate) struct RepeatedCheck<'a> {
    /// The index of the applied limit.
    applied: usize,
    count: CountRuleRef<'a>,
    /// Whether the repeated check counts units, because its cost is higher than the cost of the applied limit.
    has_cost: bool,
}

impl AppliedLimits {
    /// Removes the checks of limits that have already been applied, and returns them as repeated checks. If a check
    /// has a higher cost than the applied limit, it also remains in the list, with the difference as its cost.
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
                // Plans may give limits of one name different quotas. Then the stricter quotas must apply, too.
                it.guard == guard.id()
                    && it.key == check.key
                    && it.policy.shared_name() == check.policy.shared_name()
                    && it.policy.quotas() == check.policy.quotas()
            };
            let Some(applied) = limits.iter().position(is_same) else {
                checks.push(check);
                continue;
            };
            // A cost above the maximum stays as it is, so that the guard denies it without a time to retry.
            if check.cost <= check.policy.max_cost() {
                let costs = limits.iter().filter(|it| is_same(it)).map(|it| it.cost);
                check.cost = check.cost.saturating_sub(costs.fold(0, u32::saturating_add));
            }
            let has_cost = check.cost > 0;
            repeated.push(RepeatedCheck { applied, count: check.count, has_cost });
            if has_cost {
                checks.push(check);
            }
        }
        repeated
    }

    /// Adds the limits of these checks. Returns the index of the first added limit.
    pub(crate) fn add(&self, guard: &RateGuard, checks: &[LimitCheck<'_>]) -> usize {
        let mut limits = self.limits.borrow_mut();
        let first = limits.len();
        limits.extend(checks.iter().map(|check| AppliedLimit {
            guard: guard.id(),
            policy: Policy::clone(&check.policy),
            key: check.key,
            cost: check.cost,
            changes: Changes::default(),
        }));
        first
    }

    /// Returns the changes that repeated checks have asked for, for the limit with this index.
    pub(crate) fn changes(&self, index: usize) -> Changes {
        self.limits.borrow().get(index).map_or_else(Changes::default, |limit| limit.changes)
    }

    /// Asks the first check for the changes of a repeated check, after the response. `penalty` is in units.
    pub(crate) fn ask_for_changes(
        &self,
        repeated: &RepeatedCheck<'_>,
        response: &HttpResponse<()>,
        penalty: u32,
    ) {
        let counts = repeated.count.counts(response);
        if let Some(limit) = self.limits.borrow_mut().get_mut(repeated.applied) {
            limit.changes.counts |= counts;
            limit.changes.is_offence |= counts && !repeated.count.counts_always();
            if !repeated.has_cost {
                limit.changes.penalty = limit.changes.penalty.saturating_add(penalty);
            }
        }
    }
}
