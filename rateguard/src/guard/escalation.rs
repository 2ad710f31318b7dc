//! Who does not heed denials is banned for a while, and for longer each time.
//!
//! A ban is three more buckets of the same key in the same store, with names that no policy can have: one counts denials,
//! one remembers bans, and one is a token bucket of a token a second that is charged as many tokens as the ban has
//! seconds. Every check of the policy asks whether that one has room, in the same step, and takes nothing of it.

use std::time::{Duration, Instant};

use rateguard_grammar::Ban;

use super::request::{Asked, Request};
use crate::{
    Algorithm, Decision, Key, Policy, Quota, StoreError,
    store::{Bucket, Charge, Operation, Verdict},
};

/// How many bans are remembered. By then, each has been the longest for long.
const REMEMBERED: u32 = 32;

/// The ban of a policy, with the names of its buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Escalation {
    ban: Ban,
    denials: String,
    bans: String,
    banned: String,
}

impl Escalation {
    pub(crate) fn new(ban: Ban, policy: &str) -> Self {
        // No name of a policy has braces.
        let name = |what| format!("{policy}{{{what}}}");
        Self { ban, denials: name("denials"), bans: name("bans"), banned: name("banned") }
    }

    pub(crate) fn ban(&self) -> Ban {
        self.ban
    }

    /// What a check has to find open.
    pub(super) fn gate(&self, key: &Key) -> Charge<'_> {
        let mut gate = self.banned(key, 1);
        gate.is_gate = true;
        gate
    }

    fn banned(&self, key: &Key, seconds: u32) -> Charge<'_> {
        Charge::new(Bucket::new(&self.banned, 0, key), TOKEN_A_SECOND, seconds)
    }

    fn denials(&self, key: &Key) -> Charge<'_> {
        Charge::new(Bucket::new(&self.denials, 0, key), self.ban.denials(), 1)
    }

    fn bans(&self, key: &Key) -> Charge<'_> {
        // A ban's memory is in range, as the ban is.
        let quota = Quota::new(REMEMBERED, self.ban.memory()).unwrap_or(TOKEN_A_SECOND);
        Charge::new(Bucket::new(&self.bans, 0, key), quota, 1)
    }

    /// All that there is of it.
    pub(super) fn records(&self, key: &Key) -> [Charge<'_>; 3] {
        [self.banned(key, 1), self.denials(key), self.bans(key)]
    }
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
    /// Counts a denial by the policies whose quotas had no room, and bans who has been denied too often. Nobody waits for
    /// this longer than for the check itself.
    pub(super) async fn escalate(&self, mut decision: Decision, started: Instant) -> Decision {
        if decision.is_allowed() || decision.banned_for().is_some() {
            return decision;
        }
        for asked in self.limits() {
            let Some(escalation) = asked.policy.escalation() else { continue };
            let has_no_room = decision.standings().iter().any(|standing| {
                standing.policy() == asked.policy.name()
                    && standing.retry_after() != Some(Duration::ZERO)
            });
            if !has_no_room {
                continue;
            }
            match self.denied(asked, escalation, started).await {
                Ok(None) => {}
                Ok(Some(length)) => decision = decision.banned(asked.policy, length),
                // The denial stands; it may not have been counted.
                Err(cause) => self.guard().unescalated(cause),
            }
        }
        decision
    }

    /// Counts a denial. How long the caller is banned then, if it is.
    async fn denied(
        &self,
        asked: &Asked<'_>,
        escalation: &Escalation,
        started: Instant,
    ) -> Result<Option<Duration>, StoreError> {
        let ask = async |operation, charges: &[Charge<'_>]| -> Result<Verdict, StoreError> {
            let left = self.guard().shared.deadline.saturating_sub(started.elapsed());
            self.guard().ask(operation, charges, left).await
        };
        let remaining = |verdict: &Verdict| verdict.levels().next().map_or(0, |it| it.remaining);

        // What was denied before a ban began, and comes here after it, does not lead to the next.
        let denial = [escalation.denials(&asked.key), escalation.gate(&asked.key)];
        let denials = ask(Operation::Check, &denial).await?;
        // One request takes the last, so one of all that are denied at once begins the ban.
        if !denials.is_allowed() || remaining(&denials) > 0 {
            let ban = denials.levels().nth(1).and_then(|gate| gate.retry_after);
            return Ok(ban.filter(|ban| !ban.is_zero()));
        }
        let bans = ask(Operation::Charge, &[escalation.bans(&asked.key)]).await?;
        let earlier = (REMEMBERED - 1).saturating_sub(remaining(&bans));
        let length = escalation.ban.lengths().nth(earlier as usize).unwrap_or_default();
        // A ban has fewer than 2^23 seconds.
        let seconds = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
        let banned = ask(Operation::Charge, &[escalation.banned(&asked.key, seconds)]).await?;
        ask(Operation::Reset, &denial[..1]).await?;
        log::info!(target: "rateguard", "`{}` bans a key for {seconds} s", asked.policy.name());
        Ok(banned.levels().next().map(|level| level.reset_after))
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
