//! What a check answers.

use std::time::Duration;

use smallvec::SmallVec;

#[cfg(feature = "metrics")]
use crate::policy::PolicyName;
use crate::{Policy, Quota, mode::Mode, standing::Standing};

/// Whether a request is admitted, and the numbers that explain it.
///
/// All numbers come from the same atomic step as the answer, counted down since if it is a denial that the guard
/// [remembers](crate::RateGuardBuilder::remember_denials). Where several quotas had to have room, the numbers are those
/// of the tightest: of the one that denied and has to be waited for longest, else of the one that admits the fewest more
/// of such requests. [`standings`](Self::standings) has all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    allowed: bool,
    /// Never empty.
    standings: SmallVec<[Standing; 1]>,
    /// The place of the tightest.
    tightest: u32,
    /// How long it takes until the ban is over, if the caller is banned.
    banned_for: Option<Duration>,
    mode: Mode,
    /// It is of policies in shadow alone, and whether one of them has denied.
    shadow: Option<bool>,
    denied_for_others: bool,
}

impl Decision {
    /// A decision over these, of which there is at least one.
    pub(crate) fn new(allowed: bool, standings: SmallVec<[Standing; 1]>) -> Self {
        let places = 0..standings.len();
        let tightest =
            places.min_by(|one, other| standings[*one].tightness(&standings[*other])).unwrap_or(0);
        let tightest = tightest as u32;
        Self {
            allowed,
            standings,
            tightest,
            banned_for: None,
            mode: Mode::Store,
            shadow: None,
            denied_for_others: false,
        }
    }

    /// A decision over this one.
    pub(crate) fn of_one(allowed: bool, standing: Standing) -> Self {
        let standings = SmallVec::from_buf([standing]);
        Self {
            allowed,
            standings,
            tightest: 0,
            banned_for: None,
            mode: Mode::Store,
            shadow: None,
            denied_for_others: false,
        }
    }

    /// Whether the request is admitted.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Whether the request costs more than a quota ever admits. It is denied then, however long it waits.
    #[must_use]
    pub fn is_too_costly(&self) -> bool {
        !self.allowed && self.standings.iter().any(|standing| standing.retry_after().is_none())
    }

    /// Whether this process has decided in its memory, with its share of the limits, because the store did not answer
    /// ([`OnError::Local`](crate::OnError::Local)).
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.mode == Mode::Local
    }

    /// Whether it would be a denial if its policy were not in [shadow](crate::Policy::shadow). It
    /// [is allowed](Self::is_allowed) nevertheless, and its numbers are those of the denial.
    #[must_use]
    pub fn would_deny(&self) -> bool {
        self.shadow == Some(true)
    }

    /// The same of policies in shadow: an admission, that says whether it would be one.
    pub(crate) fn in_shadow(mut self) -> Self {
        self.shadow = Some(!self.allowed);
        self.allowed = true;
        self
    }

    /// The same, decided in memory.
    pub(crate) fn locally(self) -> Self {
        self.by(Mode::Local)
    }

    /// The same, decided in this way.
    pub(crate) fn by(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// The same, that a quota had no room only because other keys share its count, or not.
    pub(crate) fn denied_for_others(self, denied_for_others: bool) -> Self {
        Self { denied_for_others, ..self }
    }

    /// Whether a quota had no room only because other keys share its count, as they do where a store in memory is full.
    pub(crate) fn is_denied_for_others(&self) -> bool {
        self.denied_for_others
    }

    /// How it was decided.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// How long the caller is banned yet, if it is: then it is denied whatever the quotas say. A ban may begin with the
    /// answer to a request that was admitted. See [`Policy::ban`].
    #[must_use]
    pub fn banned_for(&self) -> Option<Duration> {
        self.banned_for
    }

    /// The name of the policy whose quota is the tightest: of a denial, the one that denied.
    #[must_use]
    pub fn policy(&self) -> &str {
        self.tightest().policy()
    }

    /// The tightest quota: of a denial, the one that denied.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.tightest().quota()
    }

    /// How many units are admitted at once at the most: the quota's limit, or the burst of a token bucket.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.tightest().limit()
    }

    /// How many more units would be admitted at this moment; none of somebody who is banned.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.banned_for.map_or(self.tightest().remaining(), |_| 0)
    }

    /// How long it takes until the next bit of quota comes back, if nothing else is admitted meanwhile; zero if all of
    /// it is there. Of somebody who is banned, how long the ban is yet.
    #[must_use]
    pub fn reset_after(&self) -> Duration {
        self.banned_for.unwrap_or(self.tightest().reset_after())
    }

    /// How long a denied request has to wait: after it, the same request is admitted, if nobody else takes its
    /// place. Zero if there is room, but others wait for it. `None` if the request is admitted, or
    /// [never will be](Self::is_too_costly).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if self.allowed {
            return None;
        }
        let ban = self.banned_for.unwrap_or_default();
        self.standings
            .iter()
            .try_fold(ban, |wait, standing| Some(wait.max(standing.retry_after()?)))
    }

    /// How each quota stands that had to have room; at least one.
    #[must_use]
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// What clients are told as the names of the standings, no two alike.
    pub(crate) fn public_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for standing in &self.standings {
            let mut name = standing.public_name();
            // Two policies may have paths that end alike.
            while names.contains(&name) {
                name.push('\'');
            }
            names.push(name);
        }
        names
    }

    /// The name of the policy whose quota is the tightest.
    #[cfg(feature = "metrics")]
    pub(crate) fn policy_name(&self) -> &PolicyName {
        self.tightest().name()
    }

    /// The place of the tightest quota among the standings.
    pub(crate) fn tightest_place(&self) -> usize {
        self.tightest as usize
    }

    fn tightest(&self) -> &Standing {
        &self.standings[self.tightest_place()]
    }

    /// The same numbers, and a denial.
    pub(crate) fn denied(mut self) -> Self {
        self.allowed = false;
        self
    }

    /// Both decisions on one request, as one: who waits for the denial of one does not wait in vain for the other.
    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        let allowed = self.allowed && other.allowed;
        let mode = if other.is_local() { Mode::Local } else { self.mode };
        let (of_self, of_other) = (self.tightest, self.standings.len() as u32 + other.tightest);
        self.standings.extend(other.standings);
        let both = Self::new(allowed, self.standings);
        let tightest = match (self.banned_for, other.banned_for) {
            (None, None) => both.tightest,
            (one, other) if one >= other => of_self,
            _ => of_other,
        };
        let banned_for = self.banned_for.max(other.banned_for);
        // What is enforced goes before.
        let shadow = self.shadow.zip(other.shadow).map(|(one, other)| one || other);
        Self { tightest, banned_for, mode, shadow, ..both }
    }

    /// The same numbers, with a ban under this policy.
    pub(crate) fn banned(mut self, policy: &Policy, ban: Duration) -> Self {
        if self.banned_for < Some(ban) {
            self.banned_for = Some(ban);
            let is_its = |standing: &Standing| standing.policy() == policy.name();
            if let Some(place) = self.standings.iter().position(is_its) {
                self.tightest = place as u32;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{level::Level, policy::PolicyName, store::Charge};

    const SECOND: Duration = Duration::from_secs(1);

    fn standing(name: &str, remaining: u32, reset: Duration, retry: Option<Duration>) -> Standing {
        let level = Level { remaining, reset_after: reset, retry_after: retry };
        let key = crate::Key::global();
        let bucket = crate::store::Bucket::new(name, 0, &key);
        let charge = Charge::new(bucket, "10/minute".parse().unwrap(), 1);
        Standing::new(PolicyName::of(name), &charge, level)
    }

    fn decision<const N: usize>(allowed: bool, standings: [Standing; N]) -> Decision {
        Decision::new(allowed, standings.into_iter().collect())
    }

    #[test]
    fn the_tightest_quota_leaves_least() {
        let room = |name, remaining, reset| standing(name, remaining, reset, Some(Duration::ZERO));
        let wait = |name, wait| standing(name, 0, SECOND, Some(wait));
        for (tight, loose) in [
            (wait("t", SECOND), room("l", 1, 9 * SECOND)),
            (wait("t", 2 * SECOND), wait("l", SECOND)),
            (standing("t", 3, SECOND, None), wait("l", SECOND)),
            (room("t", 1, SECOND), room("l", 2, 9 * SECOND)),
            (room("t", 1, 9 * SECOND), room("l", 1, SECOND)),
        ] {
            let (one, other) = ([tight.clone(), loose.clone()], [loose, tight]);
            assert_eq!(decision(true, one).policy(), "t");
            assert_eq!(decision(true, other).policy(), "t");
        }
    }

    #[test]
    fn who_waits_for_one_decision_does_not_wait_in_vain_for_the_other() {
        let exhausted = decision(true, [standing("outer", 0, 9 * SECOND, Some(9 * SECOND))]);
        assert_eq!(exhausted.retry_after(), None);
        let denied = decision(false, [standing("inner", 0, SECOND, Some(SECOND))]);
        for both in [exhausted.clone().and(denied.clone()), denied.and(exhausted)] {
            assert!(!both.is_allowed());
            assert_eq!(both.retry_after(), Some(9 * SECOND));
        }
    }

    #[test]
    fn of_two_decisions_the_one_with_the_longer_ban_is_told() {
        let policy = |name: &'static str| Policy::new(name, "10/minute").unwrap();
        let banned = |name: &'static str, ban| {
            let room = standing(name, 5, SECOND, Some(Duration::ZERO));
            decision(false, [room]).banned(&policy(name), ban)
        };
        let exhausted = || decision(true, [standing("full", 0, 9 * SECOND, Some(9 * SECOND))]);
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
    fn what_costs_too_much_is_told_no_time_to_wait() {
        let denied = decision(
            false,
            [standing("a", 3, SECOND, None), standing("b", 0, SECOND, Some(SECOND))],
        );
        assert!(denied.is_too_costly());
        assert_eq!(denied.retry_after(), None);
        assert_eq!((denied.policy(), denied.remaining()), ("a", 3));
    }
}
