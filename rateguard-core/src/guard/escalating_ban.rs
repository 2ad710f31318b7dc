//! Who does not heed denials is banned for a while, and for longer each time.
//!
//! A ban is up to three more buckets of the same key in the same store, with names that no policy can have: one counts
//! offences, one remembers bans, and one is a token bucket that gets a token a second and is emptied of as many tokens as
//! the ban has seconds. Every check of the policy asks whether that one is full, in the same step, and takes nothing of it.
//!
//! A ban begins in one step of its own, which admits one of all that try it at once. Whoever tried and has not heard of it,
//! because it was given up or the store was away, leaves the count of offences full, and the next offence begins the ban.

use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{RateGuard, request::Request};
use crate::{
    Decision, Key, Policy, StoreError,
    policy::{Escalation, MAX_PAST_BANS},
    store::{BucketRequest, BucketStatus, Operation},
};

/// Where an offence is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OffenceStore {
    /// In the guard's store; every step ends by then.
    Shared { until: Instant },
    /// In this process: it has decided the check, or the store is overloaded.
    Local,
}

impl Request<'_> {
    /// Counts a denial as an offence against the policies whose quotas had no room, and bans who has committed too many.
    ///
    /// Where keys are asked one after the other, a denial of several may be for what was about to be given back; and in a
    /// full store in memory, one may be for what other keys took of a count that they share. Such denials are no offences.
    pub(super) async fn escalate(&self, decision: Decision) -> Decision {
        if decision.is_allowed()
            || decision.is_denied_for_others()
            || decision.banned_for().is_some()
            || self.limits.iter().all(|asked| asked.policy.escalation().is_none())
            || self.may_be_denied_in_error()
        {
            return decision;
        }
        // On the heap, as it is large and rare.
        Box::pin(self.count_offences(decision)).await
    }

    async fn count_offences(&self, mut decision: Decision) -> Decision {
        let charges = self.quota_charges();
        let counted_in = if decision.is_local() {
            OffenceStore::Local
        } else {
            OffenceStore::Shared { until: Instant::now() + self.guard().shared.deadline }
        };
        for (limit, asked) in self.limits.iter().enumerate() {
            let Some(escalation) = asked.policy.escalation() else { continue };
            let has_denied = charges.iter().zip(decision.standings()).any(|(it, standing)| {
                // A denial by a share of the quota says nothing about the quota.
                it.limit == limit
                    && standing.retry_after() != Some(Duration::ZERO)
                    && standing.quota() == it.charge.quota
            });
            if asked.is_exempt_from_ban || !has_denied {
                continue;
            }
            if let Some(ban) = self.guard().offence(escalation, &asked.key, counted_in).await {
                decision = decision.banned(asked.policy, ban).denied();
            }
        }
        decision
    }
}

impl RateGuard {
    /// Counts an offence of a key, as it stands in the store, against a policy. How long it is banned then, if it is.
    #[doc(hidden)]
    pub async fn record_offence(&self, policy: &Policy, key: &Key) -> Option<Duration> {
        let counted_in = OffenceStore::Shared { until: Instant::now() + self.shared.deadline };
        let escalation = policy.escalation().filter(|_| !policy.is_in_shadow())?;
        self.offence(escalation, key, counted_in).await
    }

    async fn offence(
        &self,
        escalation: &Escalation,
        key: &Key,
        counted_in: OffenceStore,
    ) -> Option<Duration> {
        let mut ban = self.count_offence(escalation, key, counted_in).await;
        let mut is_local = counted_in == OffenceStore::Local;
        if let Err(cause) = &ban
            && cause.is_caused_by_load()
        {
            is_local = true;
            ban = self.count_offence(escalation, key, OffenceStore::Local).await;
        }
        match ban {
            Ok(Some(ban)) => {
                log::debug!(target: "rateguard", "`{}` for {} s", escalation.banned_name(), ban.as_secs());
                if is_local {
                    // For other processes. If this fails, the ban holds for local decisions of this process alone.
                    let charge = [escalation.ban_for(key, ban)];
                    let _ = self.ask(Operation::Check, &charge, self.shared.deadline).await;
                } else {
                    self.ban_locally(escalation, key, ban);
                }
                Some(ban)
            }
            Ok(None) => None,
            Err(cause) => {
                // The offence may be lost. The next denial counts again.
                self.record_ban_failure(cause);
                None
            }
        }
    }

    /// Counts an offence, and begins a ban if there were too many.
    async fn count_offence(
        &self,
        escalation: &Escalation,
        key: &Key,
        counted_in: OffenceStore,
    ) -> Result<Option<Duration>, StoreError> {
        let ask = async |operation, charges: &[BucketRequest<'_>]| match counted_in {
            OffenceStore::Shared { until } => {
                let left = until.saturating_duration_since(Instant::now());
                self.ask(operation, charges, left).await
            }
            OffenceStore::Local => Ok(self.shared.local.apply(operation, charges)),
        };
        let mut counted: SmallVec<[BucketRequest<'_>; 3]> =
            [escalation.offence(key), escalation.ban_check(key)].into_iter().collect();
        counted.extend(escalation.bans(key, 0));
        let verdict = ask(Operation::Check, &counted).await?;
        let levels: SmallVec<[BucketStatus; 3]> = verdict.levels().collect();
        let (offences, ban_check) = (levels[0], levels[1]);
        if ban_check.retry_after != Some(Duration::ZERO) {
            return Ok(ban_check.retry_after);
        }
        if verdict.is_allowed() && offences.remaining > 0 {
            return Ok(None);
        }

        let left = levels.get(2).map_or(MAX_PAST_BANS, |bans| bans.remaining);
        let earlier = MAX_PAST_BANS.saturating_sub(left) as usize;
        let length = escalation.ban().lengths().nth(earlier).unwrap_or_default();
        // A ban has fewer than 2^23 seconds.
        let seconds = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
        let mut begun: SmallVec<[BucketRequest<'_>; 2]> =
            [escalation.banned(key, seconds)].into_iter().collect();
        begun.extend(escalation.bans(key, 1).filter(|_| left > 0));
        let is_mine = ask(Operation::Check, &begun).await.map(|verdict| verdict.is_allowed());
        // Without its answer, it may have begun nevertheless. And where a store in memory has no room for more bans, it is
        // no ban, and the gate is open.
        let ban_check = ask(Operation::Peek, &[escalation.ban_check(key)]).await;
        let ban = match ban_check.map(|verdict| verdict.levels().next()?.retry_after) {
            Ok(left) => left.filter(|left| !left.is_zero()),
            Err(_) => is_mine?.then_some(length),
        };
        if ban.is_none() {
            return is_mine.map(|_| None);
        }
        if is_mine != Ok(false) {
            // If this fails, what counts yet begins the next ban the sooner.
            let _ = ask(Operation::Reset, &counted[..1]).await;
        }
        Ok(ban)
    }
}
