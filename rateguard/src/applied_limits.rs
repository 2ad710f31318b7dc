//! Records which limits have been applied to a request, so that each limit counts the request once.

use std::{cell::RefCell, mem, ops::Range};

use actix_rateguard_core::RateGuard;
use actix_web::HttpResponse;
use smallvec::SmallVec;

use crate::{
    Policy,
    added_units::AddedUnits,
    count_rule::CountRule,
    limit_check::{LimitCheck, LimitChecks},
    replaced_limits::ReplacedLimits,
};

/// The limits that have been applied to a request.
///
/// A request can pass the same limit several times, for example if an application and one of its scopes use the same
/// policy. The first check, which the outermost middleware makes, counts the request. A repeated check uses the
/// decision of the first check. If the cost of the repeated check is higher than the total that all earlier checks of
/// the limit have counted, the repeated check counts the difference.
///
/// The units of a limit that must stay after the response are the highest cost of the checks whose rules count the
/// response. Only the middleware of a check can refund the units of the check. It knows the rules of all checks that
/// are closer to the handler. The checks of the limit that are farther from the handler have counted their whole costs
/// before, so they need none of its units.
#[derive(Default)]
pub(crate) struct AppliedLimits {
    /// A limit has one entry for each check that has counted units, so it has several entries if the cost of a repeated
    /// check was higher. The first entry of a limit also has the data about the whole limit.
    limits: RefCell<SmallVec<[AppliedLimit; 1]>>,
}

/// For each check of a decision, the index of the first entry of its limit. `None` if the limit has no entry.
pub(crate) type FirstEntries = SmallVec<[Option<usize>; 1]>;

/// The units of a limit that one check has counted.
struct AppliedLimit {
    guard_id: u64,
    /// The check. Its cost is the number of units that it has counted.
    check: LimitCheck,
    /// The units that earlier checks of the limit had counted before this check, if this is a repeated check.
    earlier_cost: u32,
    /// The index of the first entry of the limit.
    first: usize,
    /// In the first entry of a limit: the corrections that repeated checks require after the response.
    corrections: Corrections,
}

/// The corrections that the repeated checks of a limit require after the response.
#[derive(Clone, Copy, Default)]
struct Corrections {
    /// The highest cost of the repeated checks whose rules count the response.
    due_cost: u32,
    /// Whether the response counts towards a ban under the rule of a repeated check. The middleware of the first check
    /// counts the offence, so that the response is only one offence.
    is_offence: bool,
    /// The extra units that the middleware of the first check charges for repeated checks without an extra cost. Such a
    /// check has no decision that the charge could update.
    penalty: u32,
    /// The number of extra units that the limit has charged or will charge.
    charged_penalty: u32,
}

/// The effect of the response on the units that one check has counted.
#[derive(Clone, Copy)]
pub(crate) struct ResponseEffect {
    /// The units that stay counted.
    pub(crate) kept: u32,
    /// The units that the guard refunds.
    pub(crate) refund: u32,
    /// Whether the response is an offence: the rule of the limit counts only some responses, and counts this response.
    /// Too many offences cause a ban.
    pub(crate) is_offence: bool,
    /// The extra units that the guard charges.
    pub(crate) penalty: u32,
}

/// A repeated check of a limit that has already been applied to the request.
pub(crate) struct RepeatedCheck {
    /// The index of the first entry of the limit.
    applied_index: usize,
    count: CountRule,
    /// The whole cost of the check.
    cost: u32,
    is_enforced: bool,
    /// The index of this check in the list of checks that count units. The list has this check if its cost is higher
    /// than the sum of all earlier entries of the limit.
    extra_check: Option<usize>,
}

impl RepeatedCheck {
    /// Returns whether the rule of the check reads more of the response than its status.
    pub(crate) fn reads_response(&self) -> bool {
        self.count.reads_response()
    }

    /// Returns the index of the first entry of the limit, if this is the check that has this index in the list of the
    /// checks that count units.
    pub(crate) fn first_entry_of(&self, index: usize) -> Option<usize> {
        (self.extra_check == Some(index)).then_some(self.applied_index)
    }

    /// Returns whether the limit rejects requests: it is neither in shadow mode nor permissive.
    pub(crate) fn is_enforced(&self) -> bool {
        self.is_enforced
    }

    /// Records that the store has not counted the difference between the cost of this check and the costs of the earlier
    /// checks, because the store failed and the limit fails open.
    pub(crate) fn drop_extra_cost(&mut self) {
        self.extra_check = None;
    }
}

impl Corrections {
    /// Returns true if the middleware of the first check must correct something.
    fn is_required(self) -> bool {
        self.is_offence || self.penalty > 0
    }
}

impl AppliedLimits {
    /// Removes the checks of limits that have already been applied, and returns them as repeated checks. If the cost of
    /// a check is higher than the sum of all entries of the limit, the check also remains in the list, with the
    /// difference as its cost.
    pub(crate) fn split_repeated(
        &self,
        guard: &RateGuard,
        checks: &mut LimitChecks,
    ) -> Vec<RepeatedCheck> {
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
                    && it.check.key == check.key
                    && it.check.policy.shared_name() == check.policy.shared_name()
                    && (it.check.policy.quotas() == check.policy.quotas()
                        // An override may have begun or ended since the first check.
                        || it.check.is_overridden
                        || check.is_overridden)
            };
            // An earlier denial has taken neither units nor a permit, so the check is not a repeated check.
            let has_taken = |it: &AppliedLimit| !it.check.is_denied && is_same(it);
            let Some(applied_index) = limits.iter().position(has_taken) else {
                check.is_denied = limits.iter().any(is_same);
                checks.push(check);
                continue;
            };
            // A request whose cost is above the maximum can never be allowed. So this code does not reduce such a cost:
            // with a lower cost, the guard would deny the request only for a time, and the response would have a
            // `Retry-After`.
            let cost = check.cost;
            if cost <= check.policy.max_cost() {
                let costs = limits.iter().filter(|it| is_same(it)).map(|it| it.check.cost);
                check.cost = check.cost.saturating_sub(costs.fold(0, u32::saturating_add));
            }
            // The first check has taken the permit of the request. A limit without a rate has nothing else to take.
            check.holds_permit = true;
            if !check.policy.quotas().has_rate() {
                check.cost = 0;
            }
            let has_extra_cost = check.cost > 0;
            repeated.push(RepeatedCheck {
                applied_index,
                count: check.count.clone(),
                cost,
                is_enforced: check.is_enforced(),
                extra_check: has_extra_cost.then_some(checks.len()),
            });
            if has_extra_cost {
                checks.push(check);
            }
        }
        repeated
    }

    /// Adds an entry for each of these checks. `repeated` has the repeated checks of the same middleware. Returns the
    /// indices of the added entries.
    pub(crate) fn add(
        &self,
        guard: &RateGuard,
        checks: LimitChecks,
        repeated: &[RepeatedCheck],
    ) -> Range<usize> {
        let mut limits = self.limits.borrow_mut();
        let first_added = limits.len();
        for (index, check) in checks.into_iter().enumerate() {
            let repeated = repeated.iter().find(|it| it.extra_check == Some(index));
            limits.push(AppliedLimit {
                guard_id: guard.id(),
                earlier_cost: repeated.map_or(0, |it| it.cost.saturating_sub(check.cost)),
                first: repeated.map_or(first_added + index, |it| it.applied_index),
                corrections: Corrections::default(),
                check,
            });
        }
        first_added..limits.len()
    }

    /// Returns copies of the checks of these entries.
    pub(crate) fn checks(&self, indices: Range<usize>) -> LimitChecks {
        self.limits.borrow()[indices].iter().map(|it| it.check.clone()).collect()
    }

    /// Returns true if at least one of these entries belongs to a limit that rejects requests: a limit that is neither in
    /// shadow mode nor permissive.
    pub(crate) fn has_enforced(&self, indices: Range<usize>) -> bool {
        self.limits.borrow()[indices].iter().any(|it| it.check.is_enforced())
    }

    /// Returns true if the rule of at least one of these entries reads more of the response than its status.
    pub(crate) fn reads_response(&self, indices: Range<usize>) -> bool {
        self.limits.borrow()[indices].iter().any(|it| it.check.count.reads_response())
    }

    /// Returns the policies of these entries that the handler of the request replaces.
    pub(crate) fn replaced_policies(
        &self,
        indices: Range<usize>,
        replaced: &ReplacedLimits,
    ) -> SmallVec<[Policy; 1]> {
        let limits = self.limits.borrow();
        let checks = limits[indices].iter().map(|it| &it.check);
        let is_replaced =
            |it: &&LimitCheck| it.is_replaceable && replaced.contains(it.policy.name());
        checks.filter(is_replaced).map(|it| it.policy.clone()).collect()
    }

    /// Returns true if the handler of the request replaces all limits of these entries that have permits.
    pub(crate) fn permits_are_replaced(
        &self,
        indices: Range<usize>,
        replaced: &ReplacedLimits,
    ) -> bool {
        let limits = self.limits.borrow();
        let mut with_permits = limits[indices].iter().filter(|it| it.check.policy.has_permits());
        with_permits.all(|it| it.check.is_replaceable && replaced.contains(it.check.policy.name()))
    }

    /// Returns true if these entries count regardless of the response, and no repeated check requires corrections.
    pub(crate) fn count_always(&self, indices: Range<usize>) -> bool {
        let limits = self.limits.borrow();
        let needs_corrections = |it: &AppliedLimit| {
            limits.get(it.first).is_none_or(|first| first.corrections.is_required())
        };
        limits[indices].iter().all(|it| it.check.counts_always() && !needs_corrections(it))
    }

    /// Returns the first entries of the limits of all entries from this index on.
    pub(crate) fn first_entries(&self, index: usize) -> FirstEntries {
        self.limits.borrow()[index..].iter().map(|it| Some(it.first)).collect()
    }

    /// Returns the effect of the response on the units of the check that has the entry with this index. `response` is
    /// `None` if no rule counts the response. `replaced` has the limits that the handler replaces.
    pub(crate) fn effect(
        &self,
        index: usize,
        response: Option<&HttpResponse<()>>,
        penalty: AddedUnits,
        replaced: &ReplacedLimits,
    ) -> ResponseEffect {
        let limits = self.limits.borrow();
        let AppliedLimit { check, earlier_cost, first, .. } = &limits[index];
        if check.is_replaceable && replaced.contains(check.policy.name()) {
            return ResponseEffect { kept: 0, refund: check.cost, is_offence: false, penalty: 0 };
        }
        let corrections = limits[*first].corrections;
        let is_first = *first == index;
        let counts = response.is_some_and(|response| check.count.counts(response));
        let due = corrections.due_cost.saturating_sub(*earlier_cost).min(check.cost);
        let is_offence = corrections.is_offence || (counts && !check.counts_always());
        let penalty = penalty.to_charge(corrections.charged_penalty);
        let kept = if counts { check.cost } else { due };
        ResponseEffect {
            kept,
            refund: check.cost - kept,
            is_offence: is_first && is_offence && !check.is_shared,
            penalty: if is_first { penalty.saturating_add(corrections.penalty) } else { penalty },
        }
    }

    /// Records the corrections of a repeated check, after the response. `response` is `None` if no rule counts the
    /// response.
    pub(crate) fn record_corrections(
        &self,
        repeated: &RepeatedCheck,
        response: Option<&HttpResponse<()>>,
        penalty: AddedUnits,
    ) {
        let counts = response.is_some_and(|response| repeated.count.counts(response));
        if let Some(limit) = self.limits.borrow_mut().get_mut(repeated.applied_index) {
            let corrections = &mut limit.corrections;
            if counts {
                corrections.due_cost = corrections.due_cost.max(repeated.cost);
            }
            corrections.is_offence |= counts && !repeated.count.counts_always();
            // If a repeated check has an extra cost, it has its own entry, and the middleware of this check charges the
            // penalty.
            if repeated.extra_check.is_none() {
                let units = penalty.to_charge(corrections.charged_penalty);
                corrections.penalty = corrections.penalty.saturating_add(units);
            }
            corrections.charged_penalty = penalty.total;
        }
    }
}
