//! A policy uses shadow mode in one of two ways: either the whole policy is in shadow mode, or the policy has
//! candidate quotas in shadow mode in addition to its enforced quotas.
//!
//! Candidate quotas have separate buckets. No policy can have the name of these buckets. Every request is counted in
//! the buckets of the policy's own quotas and also in the buckets of the candidate quotas. It does not matter which
//! quotas are enforced for the key. So no count starts from zero when the rollout changes.

use std::sync::Arc;

use actix_rateguard_grammar::{Quotas, ShadowSpec};

use super::{
    Policy, PolicyError, PolicyName, QuotaVariant, ShadowMode, rollout::Rollout,
    shadow_mode::Candidate,
};
use crate::{Key, RateError};

impl Policy {
    /// Puts the policy in shadow mode: the guard counts requests and [reports](crate::RateGuard::shadow_report) its
    /// decisions, but denies no request because of the policy.
    ///
    /// Use this mode to measure the effect of a new limit before you enforce the limit. A policy in shadow mode differs
    /// from an enforced policy in these points:
    ///
    /// - The policy admits every request. [`Decision::would_deny`](crate::Decision::would_deny) returns whether the
    ///   policy would deny the request if it were enforced.
    /// - In a [`Request`](crate::Request) that also has enforced policies, the policy in shadow mode does not
    ///   affect the decision.
    /// - An HTTP adapter sends nothing about the policy to clients, and no HTTP request waits for the checks of the
    ///   policy.
    /// - The guard bans no key, even if the policy has a [`ban`](Self::ban).
    /// - If the store does not answer, the guard admits requests, whatever failure mode [`on_error`](Self::on_error)
    ///   sets.
    /// - The policy cannot have [candidate quotas](Self::candidate), because the guard tries candidate quotas beside
    ///   quotas that it enforces. So this method removes a candidate that was set before.
    ///
    /// When you enforce the policy after a time in shadow mode, the units that the policy counted in shadow mode still
    /// count.
    #[must_use]
    pub fn shadow(self) -> Self {
        self.with_shadow_mode(Some(ShadowMode::Whole))
    }

    /// Adds candidate quotas, which the guard checks in shadow mode in addition to the enforced quotas. The candidate
    /// quotas are a [`Quota`](crate::Quota), [`Quotas`], or text such as `"3/minute"`.
    ///
    /// The guard checks every request of the policy against the candidate quotas, even if the enforced quotas deny the
    /// request. The candidate quotas have separate buckets. Each of these buckets needs as much space in the store as a
    /// bucket of the policy's own quotas. [`RateGuard::shadow_report`](crate::RateGuard::shadow_report) counts the
    /// requests that the candidate would deny. The guard enforces the candidate for the keys that the
    /// [rollout](Self::rollout) selects. For all other keys, the candidate denies no request, delays no request and
    /// changes no response header.
    ///
    /// ```
    /// # use actix_rateguard_core::{Key, Policy, RateGuard};
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
    /// [`PolicyError`] if a quota is invalid, or if the whole policy is in [shadow mode](Self::shadow).
    pub fn candidate<Q>(self, quotas: Q) -> Result<Self, PolicyError>
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        let quotas = quotas.try_into().map_err(|error| PolicyError::Quota(error.into()))?;
        if self.is_in_shadow() {
            return Err(PolicyError::Shadow);
        }
        let candidate = Candidate::new(self.name(), quotas, Rollout::NONE);
        Ok(self.with_shadow_mode(Some(ShadowMode::Candidate(candidate))))
    }

    /// Enforces the [candidate](Self::candidate) instead of the policy's own quotas for this percentage of the keys,
    /// from 0 to 100. Default: 0.
    ///
    /// Start with 0, because a new candidate has counted no requests. If you enforce the candidate immediately, the
    /// counts of all keys start from zero.
    ///
    /// The selection of the keys depends only on the key and the policy's name, so every application server enforces
    /// the candidate for the same keys. A higher percentage adds keys and removes none. The policy's own quotas and the
    /// candidate both count the requests of all keys, so no count starts from zero when the percentage changes.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Rollout`] if `percent` is above 100, or if the policy has no candidate.
    pub fn rollout(self, percent: u8) -> Result<Self, PolicyError> {
        let rollout = Rollout::of(percent).ok_or(PolicyError::Rollout)?;
        match self.shadow_mode() {
            Some(ShadowMode::Candidate(candidate)) => {
                let candidate = Candidate { rollout, ..candidate.clone() };
                Ok(self.with_shadow_mode(Some(ShadowMode::Candidate(candidate))))
            }
            _ => Err(PolicyError::Rollout),
        }
    }

    /// Returns whether the whole policy is in [shadow mode](Self::shadow).
    #[must_use]
    pub fn is_in_shadow(&self) -> bool {
        matches!(self.shadow_mode(), Some(ShadowMode::Whole))
    }

    /// Returns the candidate quotas, and the percentage of the keys for which the guard enforces them.
    #[doc(hidden)]
    pub fn candidate_quotas(&self) -> Option<(&Quotas, u8)> {
        self.candidate_mode().map(|candidate| (&candidate.quotas, candidate.rollout.percent()))
    }

    /// Returns the same policy with the quotas of an override. For a key with an override, the guard does not enforce
    /// the candidate quotas, but still counts under them.
    pub(crate) fn overridden(&self, quotas: Arc<Quotas>) -> Self {
        let policy = self.with_quotas(quotas);
        let mode = match policy.candidate_mode() {
            Some(candidate) => {
                ShadowMode::Candidate(Candidate { rollout: Rollout::NONE, ..candidate.clone() })
            }
            None => return policy,
        };
        policy.with_shadow_mode(Some(mode))
    }

    /// Returns the highest request cost that both the policy's own quotas and its candidate quotas can admit.
    #[doc(hidden)]
    pub fn max_cost(&self) -> u32 {
        let own = self.quotas().max_cost();
        self.candidate_mode().map_or(own, |candidate| own.min(candidate.quotas.max_cost()))
    }

    /// Returns whether the guard enforces the policy's own quotas or the candidate quotas for a key. The key must be
    /// [hashed](crate::RateGuard::hashed_key), because the rollout depends on the hash.
    pub(crate) fn variant_for(&self, key: &Key) -> QuotaVariant {
        match self.candidate_mode() {
            Some(candidate) if candidate.rollout.includes(self.name(), key) => {
                QuotaVariant::Candidate
            }
            _ => QuotaVariant::Own,
        }
    }

    /// Returns the policy's own quotas or the candidate quotas, with the name of their buckets.
    pub(crate) fn quotas_of_variant(&self, variant: QuotaVariant) -> (&PolicyName, &Quotas) {
        match self.candidate_mode() {
            Some(candidate) if variant == QuotaVariant::Candidate => {
                (&candidate.name, &candidate.quotas)
            }
            _ => (self.shared_name(), self.quotas()),
        }
    }

    /// Returns the same policy with this shadow mode. `None` disables the shadow mode.
    #[doc(hidden)]
    pub fn with_shadow_spec(self, spec: Option<ShadowSpec>) -> Self {
        let mode = spec.map(|spec| match spec {
            ShadowSpec::Whole => ShadowMode::Whole,
            ShadowSpec::Candidate(quotas, percent) => {
                let rollout = Rollout::of(percent).unwrap_or(Rollout::NONE);
                ShadowMode::Candidate(Candidate::new(self.name(), quotas, rollout))
            }
        });
        self.with_shadow_mode(mode)
    }

    /// Returns the shadow mode for a copy of this policy that has another name. The buckets of the copy's candidate
    /// need a name that is derived from the new name.
    pub(crate) fn shadow_mode_for_name(&self, name: &str) -> Option<ShadowMode> {
        Some(match self.shadow_mode()? {
            ShadowMode::Whole => ShadowMode::Whole,
            ShadowMode::Candidate(Candidate { quotas, rollout, .. }) => {
                ShadowMode::Candidate(Candidate::new(name, quotas.clone(), *rollout))
            }
        })
    }

    fn candidate_mode(&self) -> Option<&Candidate> {
        match self.shadow_mode() {
            Some(ShadowMode::Candidate(candidate)) => Some(candidate),
            _ => None,
        }
    }
}
