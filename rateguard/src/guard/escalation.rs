//! Who does not heed denials is banned for a while, and for longer each time.
//!
//! A ban is up to three more buckets of the same key in the same store, with names that no policy can have: one counts
//! offences, one remembers bans, and one is a token bucket that gets a token a second and is emptied of as many tokens as
//! the ban has seconds. Every check of the policy asks whether that one is full, in the same step, and takes nothing of it.
//!
//! A ban begins in one step of its own, which admits one of all that try it at once. Whoever tried and has not heard of it,
//! because it was given up or the store was away, leaves the count of offences full, and the next offence begins the ban.

use std::time::Duration;

use rateguard_grammar::Ban;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{RateGuard, request::Request};
use crate::{
    Algorithm, Decision, Key, Policy, Quota, StoreError,
    bucket::BanRecord,
    store::{Bucket, Charge, Level, Operation},
};

/// How many bans are remembered. By then, each has been the longest for long.
const REMEMBERED: u32 = 32;

/// The ban of a policy, with the names of its buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Escalation {
    ban: Ban,
    offences: String,
    bans: String,
    banned: String,
}

impl Escalation {
    pub(crate) fn new(ban: Ban, policy: &str) -> Self {
        let [offences, bans, banned] =
            [BanRecord::Offences, BanRecord::PastBans, BanRecord::Active]
                .map(|record| record.bucket_name(policy));
        Self { ban, offences, bans, banned }
    }

    pub(crate) fn ban(&self) -> Ban {
        self.ban
    }

    /// What a check has to find open.
    pub(super) fn gate<'a>(&'a self, key: &'a Key) -> Charge<'a> {
        let mut gate = self.banned(key, 1);
        gate.is_gate = true;
        gate
    }

    /// So many seconds of a ban, which have room if none is under way.
    fn banned<'a>(&'a self, key: &'a Key, seconds: u32) -> Charge<'a> {
        // A ban is in range.
        let quota = TOKEN_A_SECOND.with_burst(seconds).unwrap_or(TOKEN_A_SECOND);
        Charge::new(Bucket::new(&self.banned, 0, key), quota, seconds)
    }

    /// A ban that lasts for so long yet, if none is under way.
    pub(super) fn ban_for<'a>(&'a self, key: &'a Key, left: Duration) -> Charge<'a> {
        self.banned(key, whole_seconds(left))
    }

    /// What makes a ban that lasts for so long yet as long as this, or up to a second longer. There is no room for it if the
    /// ban lasts longer than that by now.
    pub(super) fn longer_ban<'a>(
        &'a self,
        key: &'a Key,
        left: Duration,
        length: Duration,
    ) -> Charge<'a> {
        let seconds = whole_seconds(length.saturating_sub(left));
        let in_all = self.banned(key, whole_seconds(left) + seconds);
        Charge { cost: seconds, ..in_all }
    }

    fn offence<'a>(&'a self, key: &'a Key) -> Charge<'a> {
        Charge::new(Bucket::new(&self.offences, 0, key), self.ban.offences(), 1)
    }

    /// So many bans to be remembered, if they grow.
    fn bans<'a>(&'a self, key: &'a Key, number: u32) -> Option<Charge<'a>> {
        let quota = Quota::new(REMEMBERED, self.ban.memory()?).ok()?;
        Some(Charge::new(Bucket::new(&self.bans, 0, key), quota, number))
    }

    /// All that there is of it.
    pub(super) fn records<'a>(&'a self, key: &'a Key) -> SmallVec<[Charge<'a>; 3]> {
        let always = [self.banned(key, 1), self.offence(key)];
        always.into_iter().chain(self.bans(key, 1)).collect()
    }
}

/// Where an offence is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OffenceStore {
    /// In the guard's store; every step ends by then.
    Shared { until: Instant },
    /// In this process: it has decided the check, or the store is overloaded.
    Local,
}

/// A ban has fewer than 2^23 seconds.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// What a ban is paid back with.
const TOKEN_A_SECOND: Quota = match Quota::new(1, Duration::from_secs(1)) {
    Ok(quota) => match quota.with_algorithm(Algorithm::TokenBucket) {
        Ok(quota) => quota,
        Err(_) => quota,
    },
    Err(_) => unreachable!(),
};

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
            if asked.is_forgiven || !has_denied {
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
    pub(crate) async fn offence_against(&self, policy: &Policy, key: &Key) -> Option<Duration> {
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
                log::debug!(target: "rateguard", "`{}` for {} s", escalation.banned, ban.as_secs());
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
                self.unescalated(cause);
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
        let ask = async |operation, charges: &[Charge<'_>]| match counted_in {
            OffenceStore::Shared { until } => {
                let left = until.saturating_duration_since(Instant::now());
                self.ask(operation, charges, left).await
            }
            OffenceStore::Local => Ok(self.shared.local.apply(operation, charges)),
        };
        let mut counted: SmallVec<[Charge<'_>; 3]> =
            [escalation.offence(key), escalation.gate(key)].into_iter().collect();
        counted.extend(escalation.bans(key, 0));
        let verdict = ask(Operation::Check, &counted).await?;
        let levels: SmallVec<[Level; 3]> = verdict.levels().collect();
        let (offences, gate) = (levels[0], levels[1]);
        if gate.retry_after != Some(Duration::ZERO) {
            return Ok(gate.retry_after);
        }
        if verdict.is_allowed() && offences.remaining > 0 {
            return Ok(None);
        }

        let left = levels.get(2).map_or(REMEMBERED, |bans| bans.remaining);
        let earlier = REMEMBERED.saturating_sub(left) as usize;
        let length = escalation.ban.lengths().nth(earlier).unwrap_or_default();
        // A ban has fewer than 2^23 seconds.
        let seconds = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
        let mut begun: SmallVec<[Charge<'_>; 2]> =
            [escalation.banned(key, seconds)].into_iter().collect();
        begun.extend(escalation.bans(key, 1).filter(|_| left > 0));
        let is_mine = ask(Operation::Check, &begun).await.map(|verdict| verdict.is_allowed());
        // Without its answer, it may have begun nevertheless. And where a store in memory has no room for more bans, it is
        // no ban, and the gate is open.
        let gate = ask(Operation::Peek, &[escalation.gate(key)]).await;
        let ban = match gate.map(|verdict| verdict.levels().next()?.retry_after) {
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

impl Policy {
    /// Bans who is denied too often: a [`Ban`], or text such as `"10/hour for 15m up to 1d"`.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Ban`](crate::PolicyError::Ban) if the text is not a legal ban.
    pub fn ban<B>(self, ban: B) -> Result<Self, crate::PolicyError>
    where
        B: TryInto<Ban, Error: Into<crate::BanError>>,
    {
        let ban = ban.try_into().map_err(|error| crate::PolicyError::Ban(error.into()))?;
        Ok(self.escalating(Some(ban)))
    }
}
