//! Defines the decision, which is the result of a check.

use std::time::Duration;

use smallvec::SmallVec;

use crate::{
    Policy, Quota, clock::micros, policy::PolicyName, quota_status::QuotaStatus,
    telemetry::mode::DecisionMode,
};

/// The result of a check: whether the request is admitted, and the status of each quota that was checked.
///
/// The store makes the decision and reads all numbers in one atomic operation. A denial from the [denial
/// cache](crate::RateGuardBuilder::denial_cache_ttl) repeats an earlier denial. All times in the repeated denial are
/// shorter by the time since the earlier denial.
///
/// If several quotas were checked, the decision has the numbers of the tightest quota. In a denial, the tightest quota
/// is the quota with the longest wait until it has room. In an admission, the tightest quota is the quota that admits
/// the fewest further requests of the same cost. [`statuses`](Self::statuses) returns the status of every quota.
///
/// With `actix-rateguard`, a handler takes an argument of the type `CheckResult` and calls the method `decision` of
/// this argument. A handler cannot take a `Decision` itself as an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    allowed: bool,
    /// The status of each quota. The list is never empty.
    statuses: SmallVec<[QuotaStatus; 1]>,
    /// The index of the tightest quota in `statuses`.
    tightest: u32,
    /// The time until the end of the ban, in microseconds; 0 if the key is not banned. A whole number of microseconds is
    /// half as large as an optional duration.
    banned_micros: u64,
    mode: DecisionMode,
    /// Whether a policy would deny the request if its denials were enforced. `None` if the decision has a policy that
    /// is not in shadow mode.
    shadow: Option<bool>,
    denied_for_others: bool,
    /// How long the request has waited for its decision, in microseconds.
    waited_micros: u64,
}

impl Decision {
    /// Creates a decision from the statuses of at least one quota.
    pub(crate) fn new(allowed: bool, statuses: SmallVec<[QuotaStatus; 1]>) -> Self {
        let tightest = Self::tightest_of(&statuses);
        Self {
            allowed,
            statuses,
            tightest,
            banned_micros: 0,
            mode: DecisionMode::Store,
            shadow: None,
            denied_for_others: false,
            waited_micros: 0,
        }
    }

    /// Returns the index of the tightest quota.
    fn tightest_of(statuses: &[QuotaStatus]) -> u32 {
        let indices = 0..statuses.len();
        let tightest = indices.min_by(|one, other| statuses[*one].tightness(&statuses[*other]));
        tightest.unwrap_or(0) as u32
    }

    /// Creates a decision from the status of a single quota.
    pub(crate) fn of_one(allowed: bool, status: QuotaStatus) -> Self {
        let statuses = SmallVec::from_buf([status]);
        Self {
            allowed,
            statuses,
            tightest: 0,
            banned_micros: 0,
            mode: DecisionMode::Store,
            shadow: None,
            denied_for_others: false,
            waited_micros: 0,
        }
    }

    /// Returns whether the request is admitted.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Returns whether the request was denied because its cost is above the [`max_cost`](Quota::max_cost) of a quota. A
    /// request with this cost is always denied, so a client should not repeat the request.
    #[must_use]
    pub fn is_too_costly(&self) -> bool {
        let never_fits =
            |status: &QuotaStatus| status.retry_after().is_none() && !status.lacks_permit();
        !self.allowed && self.statuses.iter().any(never_fits)
    }

    /// Returns whether the request was denied because too many requests of the key are in progress, and all permits of
    /// a quota such as `5 concurrent` are held. A quota for a rate can also have no room for the request.
    #[must_use]
    pub fn is_denied_by_concurrency(&self) -> bool {
        !self.allowed && self.statuses.iter().any(QuotaStatus::lacks_permit)
    }

    /// Returns whether this process made the decision in memory because the store did not answer
    /// ([`OnError::Local`](crate::OnError::Local)). In memory, each process enforces only its share of each limit.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.mode() == DecisionMode::Local
    }

    /// Returns whether this process made the decision with a unit of a lease, which it had taken from the store before.
    /// Then the number of [remaining](Self::remaining) units is a lower bound, the unused units of this process, and
    /// the times are upper bounds.
    #[must_use]
    pub fn is_leased(&self) -> bool {
        self.mode() == DecisionMode::Lease
    }

    /// Returns whether a policy in [shadow mode](crate::Policy::shadow) would deny the request if the policy were
    /// enforced. If so, the decision [admits](Self::is_allowed) the request, but has the numbers of a denial.
    #[must_use]
    pub fn would_deny(&self) -> bool {
        self.shadow == Some(true)
    }

    /// Returns a decision that admits the request and records whether the policies would deny it. All policies of
    /// this decision must be in shadow mode.
    pub(crate) fn in_shadow(mut self) -> Self {
        self.shadow = Some(!self.allowed);
        self.allowed = true;
        self
    }

    /// Returns the same decision with the mode [`DecisionMode::Local`], because this process made it in memory.
    pub(crate) fn locally(self) -> Self {
        self.by(DecisionMode::Local)
    }

    /// Returns the same decision with this mode, which names the component that decided.
    pub(crate) fn by(self, mode: DecisionMode) -> Self {
        Self { mode, ..self }
    }

    /// Returns the same decision with this value for [`is_denied_for_others`](Self::is_denied_for_others).
    pub(crate) fn denied_for_others(self, denied_for_others: bool) -> Self {
        Self { denied_for_others, ..self }
    }

    /// Returns how long the request waited for room before this decision, for example in
    /// [`check_or_wait`](crate::Request::check_or_wait). The time is zero if the request did not wait. It does not contain
    /// the duration of the first store call.
    #[must_use]
    pub fn waited(&self) -> Duration {
        Duration::from_micros(self.waited_micros)
    }

    /// Returns the same decision, made after a wait.
    pub(crate) fn after_wait(self, waited: Duration) -> Self {
        Self { waited_micros: micros(waited), ..self }
    }

    /// Returns the same decision, whose durations are shorter by the time since the decision.
    pub(crate) fn repeated_after(mut self, elapsed: Duration) -> Self {
        self.statuses = self.statuses.into_iter().map(|it| it.repeated_after(elapsed)).collect();
        self.by(DecisionMode::DenialCache)
    }

    /// Returns whether a quota had no room only because the key shares a count with other keys. Keys share counts
    /// when the in-memory store is full.
    pub(crate) fn is_denied_for_others(&self) -> bool {
        self.denied_for_others
    }

    pub(crate) fn mode(&self) -> DecisionMode {
        self.mode
    }

    /// Returns the time until the end of the ban, or `None` if the key is not banned.
    ///
    /// While a key is banned, its requests are denied even if the quotas have room. The response to an admitted request
    /// can start a ban, for example after too many failed logins. An HTTP adapter then adds the ban to the decision.
    /// See [`Policy::ban`].
    #[must_use]
    pub fn banned_for(&self) -> Option<Duration> {
        (self.banned_micros > 0).then(|| Duration::from_micros(self.banned_micros))
    }

    /// Returns the name of the policy that has the tightest quota. In a denial, this policy denied the request.
    #[must_use]
    pub fn policy(&self) -> &str {
        self.policy_name().as_str()
    }

    /// Returns the tightest quota. In a denial, this quota had no room.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.tightest().quota()
    }

    /// Returns the maximum number of units that the tightest quota admits at one moment: its limit, or the burst of
    /// a token bucket.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.tightest().limit()
    }

    /// Returns the number of units that the tightest quota would admit now. The number is 0 if the key is banned.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        if self.banned_micros > 0 { 0 } else { self.tightest().remaining() }
    }

    /// Returns the time until [`remaining`](Self::remaining) grows by one unit, if no other request takes units.
    ///
    /// The time is zero if the quota counts no units now. If the key is banned, the method returns the time until the
    /// end of the ban.
    #[must_use]
    pub fn reset_after(&self) -> Duration {
        self.banned_for().unwrap_or(self.tightest().reset_after())
    }

    /// Returns the time until the same request is admitted, if no other request takes units in the meantime.
    ///
    /// The result is `None` in three cases: the request is admitted, it [can never be admitted](Self::is_too_costly),
    /// or only [requests in progress](Self::is_denied_by_concurrency) prevent its admission, because nobody knows when
    /// they end. If a quota for a rate has no room either, the result is the wait for this quota. If other requests wait
    /// ahead in the queue of [`check_or_wait`](crate::Request::check_or_wait), the time ends when these requests have
    /// taken their units.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if self.allowed {
            return None;
        }
        let ban = Duration::from_micros(self.banned_micros);
        let lacks_permit = self.is_denied_by_concurrency();
        let known = self.statuses.iter().filter(|status| !status.lacks_permit());
        let wait = known.into_iter().try_fold(ban, |wait, it| Some(wait.max(it.retry_after()?)))?;
        (!lacks_permit || !wait.is_zero()).then_some(wait)
    }

    /// Returns the status of each quota that was checked. The slice has at least one element.
    #[must_use]
    pub fn statuses(&self) -> &[QuotaStatus] {
        &self.statuses
    }

    /// Returns the names that clients see for the quotas, in the order of [`statuses`](Self::statuses). Each name
    /// is unique.
    #[doc(hidden)]
    pub fn public_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for status in &self.statuses {
            let mut name = status.public_name();
            // A public name may be only the last segment of a policy name, so two policies may have the same public
            // name.
            while names.contains(&name) {
                name.push('\'');
            }
            names.push(name);
        }
        names
    }

    /// Returns the name of the policy that has the tightest quota.
    pub(crate) fn policy_name(&self) -> &PolicyName {
        self.tightest().name()
    }

    /// Returns the index of the tightest quota in [`statuses`](Self::statuses).
    #[doc(hidden)]
    pub fn tightest_index(&self) -> usize {
        self.tightest as usize
    }

    fn tightest(&self) -> &QuotaStatus {
        &self.statuses[self.tightest_index()]
    }

    /// Turns this decision into a denial with the same numbers.
    pub(crate) fn denied(mut self) -> Self {
        self.allowed = false;
        self
    }

    /// Combines two decisions about one request. The result admits the request only if both decisions admit it, and
    /// the `retry_after` of the result is the longer of the two waits.
    #[must_use]
    #[doc(hidden)]
    pub fn and(self, other: Self) -> Self {
        self.and_with_common(other, |_| None)
    }

    /// Combines two decisions about one request like [`and`](Self::and). For each status of `other`, the function
    /// `index_in_self` returns the index of the status of the same quota in this decision, if there is one. The result
    /// has only one status of such a quota: the status of this decision.
    #[must_use]
    #[doc(hidden)]
    pub fn and_with_common(
        mut self,
        other: Self,
        index_in_self: impl Fn(&QuotaStatus) -> Option<usize>,
    ) -> Self {
        let allowed = self.allowed && other.allowed;
        let mode = if other.is_local() { DecisionMode::Local } else { self.mode };
        let (of_self, mut of_other) = (self.tightest, 0);
        for (index, status) in (0..).zip(other.statuses) {
            let common = index_in_self(&status);
            if index == other.tightest {
                of_other = common.unwrap_or(self.statuses.len()) as u32;
            }
            if common.is_none() {
                self.statuses.push(status);
            }
        }
        let both = Self::new(allowed, self.statuses);
        let tightest = match (self.banned_micros, other.banned_micros) {
            (0, 0) => both.tightest,
            (one, other) if one >= other => of_self,
            _ => of_other,
        };
        let banned_micros = self.banned_micros.max(other.banned_micros);
        // The result is in shadow mode only if both decisions are in shadow mode.
        let shadow = self.shadow.zip(other.shadow).map(|(one, other)| one || other);
        let waited_micros = self.waited_micros.saturating_add(other.waited_micros);
        Self { tightest, banned_micros, mode, shadow, waited_micros, ..both }
    }

    /// Returns the part of the decision that belongs to the other policies, without those for which `is_hidden` returns
    /// true. `None` if nothing is left.
    ///
    /// If only hidden policies deny the request, the result admits it, so that the result does not report their wait.
    #[must_use]
    #[doc(hidden)]
    pub fn without_policies(&self, is_hidden: impl Fn(&str) -> bool) -> Option<Self> {
        let banned_micros = if is_hidden(self.policy()) { 0 } else { self.banned_micros };
        let visible = |(_, status): &(u32, &QuotaStatus)| !is_hidden(status.policy());
        let (indices, statuses): (SmallVec<[u32; 1]>, SmallVec<[QuotaStatus; 1]>) = (0..)
            .zip(&self.statuses)
            .filter(visible)
            .map(|(index, status)| (index, status.clone()))
            .unzip();
        if statuses.is_empty() {
            return None;
        }
        let is_denied = banned_micros > 0
            || statuses.iter().any(|status| status.retry_after() != Some(Duration::ZERO));
        let is_complete = statuses.len() == self.statuses.len();
        let allowed = self.allowed || !(is_denied || is_complete);
        let kept = Self::new(allowed, statuses);
        let tightest = match banned_micros {
            0 => kept.tightest,
            _ => indices.iter().position(|index| *index == self.tightest).unwrap_or(0) as u32,
        };
        Some(Self { tightest, banned_micros, mode: self.mode, ..kept })
    }

    /// Replaces the statuses for which `newer` returns a newer status of the same quota.
    #[doc(hidden)]
    pub fn replace_statuses(&mut self, newer: impl Fn(&QuotaStatus) -> Option<QuotaStatus>) {
        for status in &mut self.statuses {
            if let Some(newer) = newer(status) {
                *status = newer.of_limit(status.limit_index());
            }
        }
        // In a decision with a ban, the tightest quota belongs to the policy that has started the ban.
        if self.banned_micros == 0 {
            self.tightest = Self::tightest_of(&self.statuses);
        }
    }

    /// Returns the same decision with a ban that this policy has started. If the decision already has a longer ban,
    /// nothing changes.
    #[doc(hidden)]
    pub fn banned(mut self, policy: &Policy, ban: Duration) -> Self {
        if self.banned_micros < micros(ban) {
            self.banned_micros = micros(ban);
            let is_of_policy = |status: &QuotaStatus| status.policy() == policy.name();
            if let Some(index) = self.statuses.iter().position(is_of_policy) {
                self.tightest = index as u32;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bucket_status::BucketStatus, policy::PolicyName, store::BucketRequest};

    const SECOND: Duration = Duration::from_secs(1);

    fn status(name: &str, remaining: u32, reset: Duration, retry: Option<Duration>) -> QuotaStatus {
        let status = BucketStatus { remaining, reset_after: reset, retry_after: retry };
        let key = crate::Key::global();
        let bucket = crate::store::Bucket::new(name, 0, &key);
        let request = BucketRequest::new(bucket, "10/minute".parse().unwrap(), 1);
        QuotaStatus::new(PolicyName::of(name), &request, status)
    }

    fn decision<const N: usize>(allowed: bool, statuses: [QuotaStatus; N]) -> Decision {
        Decision::new(allowed, statuses.into_iter().collect())
    }

    #[test]
    fn tightest_quota_does_not_depend_on_order() {
        let room = |name, remaining, reset| status(name, remaining, reset, Some(Duration::ZERO));
        let wait = |name, wait| status(name, 0, SECOND, Some(wait));
        for (tight, loose) in [
            (wait("t", SECOND), room("l", 1, 9 * SECOND)),
            (wait("t", 2 * SECOND), wait("l", SECOND)),
            (status("t", 3, SECOND, None), wait("l", SECOND)),
            (room("t", 1, SECOND), room("l", 2, 9 * SECOND)),
            (room("t", 1, 9 * SECOND), room("l", 1, SECOND)),
        ] {
            let (one, other) = ([tight.clone(), loose.clone()], [loose, tight]);
            assert_eq!(decision(true, one).policy(), "t");
            assert_eq!(decision(true, other).policy(), "t");
        }
    }

    #[test]
    fn combined_retry_after_is_the_longer_of_both() {
        let exhausted = decision(true, [status("outer", 0, 9 * SECOND, Some(9 * SECOND))]);
        assert_eq!(exhausted.retry_after(), None);
        let denied = decision(false, [status("inner", 0, SECOND, Some(SECOND))]);
        for both in [exhausted.clone().and(denied.clone()), denied.and(exhausted)] {
            assert!(!both.is_allowed());
            assert_eq!(both.retry_after(), Some(9 * SECOND));
        }
    }

    #[test]
    fn combined_decision_reports_the_longer_ban() {
        let policy = |name: &'static str| Policy::new(name, "10/minute").unwrap();
        let banned = |name: &'static str, ban| {
            let room = status(name, 5, SECOND, Some(Duration::ZERO));
            decision(false, [room]).banned(&policy(name), ban)
        };
        let exhausted = || decision(true, [status("full", 0, 9 * SECOND, Some(9 * SECOND))]);
        let (short, long) = (|| banned("short", SECOND), || banned("long", 2 * SECOND));
        for both in [
            exhausted().and(long()),
            long().and(exhausted()),
            short().and(long()),
            long().and(short()),
        ] {
            assert_eq!((both.policy(), both.banned_for()), ("long", Some(2 * SECOND)));
            assert_eq!((both.is_allowed(), both.remaining()), (false, 0));
            assert!(both.retry_after() >= Some(2 * SECOND));
        }
    }

    #[test]
    fn too_costly_request_has_no_retry_after() {
        let denied =
            decision(false, [status("a", 3, SECOND, None), status("b", 0, SECOND, Some(SECOND))]);
        assert!(denied.is_too_costly());
        assert_eq!(denied.retry_after(), None);
        assert_eq!((denied.policy(), denied.remaining()), ("a", 3));
    }
}
