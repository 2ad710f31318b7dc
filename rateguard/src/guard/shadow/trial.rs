//! What is tried of a policy: all of it, or other quotas beside its own.
//!
//! A candidate has buckets of its own, with a name that no policy can have. Both sides count every request that the policy
//! sees, whichever of them is enforced for its key. So a key that comes to the other side, as the roll-out moves, finds it as
//! if it had been enforced all along, and nobody is refilled.

use rateguard_grammar::Quotas;

use super::rollout::Rollout;
use crate::{Key, Policy, PolicyError, RateError, policy::PolicyName};

/// What of a policy refuses nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// All of it.
    Whole,
    /// Other quotas, but for some of the keys.
    Candidate(Candidate),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Of its buckets.
    name: PolicyName,
    quotas: Quotas,
    rollout: Rollout,
}

impl Candidate {
    fn new(policy: &str, quotas: Quotas, rollout: Rollout) -> Self {
        // No name of a policy has braces.
        Self { name: PolicyName::of(&format!("{policy}{{shadow}}")), quotas, rollout }
    }
}

/// The same as attributes and files write it, checked.
#[cfg(any(feature = "config", feature = "macros"))]
#[cfg_attr(not(feature = "macros"), allow(unreachable_pub))]
pub enum Tried {
    /// All of it.
    Whole,
    /// Other quotas, which are enforced for so many percent of the keys.
    Candidate(Quotas, u8),
}

/// Which quotas of a policy, and which of its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Own,
    Candidate,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Own => Self::Candidate,
            Self::Candidate => Self::Own,
        }
    }
}

impl Policy {
    /// The same policy in shadow: it decides, counts and is [reported](crate::RateGuard::shadow_report), and refuses
    /// nobody. To see what a new limit would do before it does it.
    ///
    /// Its decisions are admissions that say whether they [would be denials](crate::Decision::would_deny); beside other policies
    /// in one [`Request`](crate::Request) it is in no decision at all. Over HTTP no client is told anything of it, and no
    /// request waits for it. It bans nobody, whatever [`ban`](Self::ban) says. When the store does not answer, requests pass,
    /// whatever [`on_error`](Self::on_error) says. What it counts counts on when it is enforced. A
    /// [candidate](Self::candidate) that it had is not tried then.
    #[must_use]
    pub fn shadow(self) -> Self {
        self.with_trial(Some(Trial::Whole))
    }

    /// Tries other quotas beside those that are enforced: a [`Quota`](crate::Quota), [`Quotas`], or text such as
    /// `"3/minute"`.
    ///
    /// The candidate sees every request that the policy sees, whatever is decided on it, and counts in buckets of its own. What
    /// it would have denied is [reported](crate::RateGuard::shadow_report); it refuses nobody, delays nobody and changes no
    /// header, whatever becomes of it, but for the keys of its [roll-out](Self::rollout). Its buckets take as much room in the
    /// store as those of the policy.
    ///
    /// ```
    /// # use rateguard::{Key, Policy, RateGuard};
    /// # futures_util::FutureExt::now_or_never(async {
    /// # let guard = RateGuard::in_memory();
    /// let search = Policy::new("search", "10/minute")?.candidate("3/minute")?;
    /// for _ in 0..5 {
    ///     assert!(guard.check(&search, &Key::from("user-42")).await?.is_allowed());
    /// }
    /// let counts = &guard.shadow_report()[0];
    /// assert_eq!((counts.allowed, counts.would_deny), (3, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap().unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`PolicyError`] if a quota is not legal, or the policy is in [shadow](Self::shadow) itself.
    pub fn candidate<Q>(self, quotas: Q) -> Result<Self, PolicyError>
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        let quotas = quotas.try_into().map_err(|error| PolicyError::Quota(error.into()))?;
        if self.is_in_shadow() {
            return Err(PolicyError::Shadow);
        }
        let candidate = Candidate::new(self.name(), quotas, Rollout::NOBODY);
        Ok(self.with_trial(Some(Trial::Candidate(candidate))))
    }

    /// Enforces the [candidate](Self::candidate) for so many percent of the keys, from 0 to 100, in place of the policy's own
    /// quotas. Default: 0, and it is best to begin with that: a new candidate has counted nothing yet, so whoever is to be
    /// limited by it at once has all of it left.
    ///
    /// Which keys these are depends on key and name of the policy alone, so it is the same on every server; more percent
    /// add keys and take none away. Both sides count all requests of all keys, so a change of the percentage refills nobody:
    /// a key finds the other side as if that had been in force all along.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Rollout`] if it is above 100, or the policy has no candidate.
    pub fn rollout(self, percent: u8) -> Result<Self, PolicyError> {
        let rollout = Rollout::of(percent).ok_or(PolicyError::Rollout)?;
        match self.trial() {
            Some(Trial::Candidate(candidate)) => {
                let candidate = Candidate { rollout, ..candidate.clone() };
                Ok(self.with_trial(Some(Trial::Candidate(candidate))))
            }
            _ => Err(PolicyError::Rollout),
        }
    }

    /// Whether all of it is in [shadow](Self::shadow).
    #[must_use]
    pub fn is_in_shadow(&self) -> bool {
        matches!(self.trial(), Some(Trial::Whole))
    }

    /// The quotas of its candidate, and for how many percent of the keys they are enforced.
    pub(crate) fn tried_beside(&self) -> Option<(&Quotas, u8)> {
        self.of_candidate().map(|candidate| (&candidate.quotas, candidate.rollout.percent()))
    }

    /// The most that a request may cost without being denied by either side, however long it waits.
    pub(crate) fn max_cost(&self) -> u32 {
        let own = self.quotas().max_cost();
        self.of_candidate().map_or(own, |candidate| own.min(candidate.quotas.max_cost()))
    }

    /// Which of its quotas are enforced for a key as it stands in the store.
    pub(crate) fn side_for(&self, key: &Key) -> Side {
        match self.of_candidate() {
            Some(candidate) if candidate.rollout.includes(self.name(), key) => Side::Candidate,
            _ => Side::Own,
        }
    }

    /// The name of the buckets of a side, and its quotas.
    pub(crate) fn on_side(&self, side: Side) -> (&PolicyName, &Quotas) {
        match self.of_candidate() {
            Some(candidate) if side == Side::Candidate => (&candidate.name, &candidate.quotas),
            _ => (self.shared_name(), self.quotas()),
        }
    }

    /// The same policy, of which this is tried.
    #[cfg(any(feature = "config", feature = "macros"))]
    pub(crate) fn trying(self, tried: Option<Tried>) -> Self {
        let trial = tried.map(|tried| match tried {
            Tried::Whole => Trial::Whole,
            Tried::Candidate(quotas, percent) => {
                let rollout = Rollout::of(percent).unwrap_or(Rollout::NOBODY);
                Trial::Candidate(Candidate::new(self.name(), quotas, rollout))
            }
        });
        self.with_trial(trial)
    }

    /// What is tried, for a policy of another name.
    pub(crate) fn trial_named(&self, name: &str) -> Option<Trial> {
        Some(match self.trial()? {
            Trial::Whole => Trial::Whole,
            Trial::Candidate(Candidate { quotas, rollout, .. }) => {
                Trial::Candidate(Candidate::new(name, quotas.clone(), *rollout))
            }
        })
    }

    fn of_candidate(&self) -> Option<&Candidate> {
        match self.trial() {
            Some(Trial::Candidate(candidate)) => Some(candidate),
            _ => None,
        }
    }
}

/// What is said of it where two limits of one name differ in it.
impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => f.write_str("all of it"),
            Self::Candidate(Candidate { quotas, rollout, .. }) => {
                write!(f, "{quotas} for {rollout} of the keys")
            }
        }
    }
}
