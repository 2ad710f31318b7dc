//! Escalating bans: clients that continue to send requests after a denial are banned, each time for longer.
//!
//! The state of a ban is in up to three more buckets of the same key and store. Their names cannot be names of
//! policies. One bucket counts offences, and one counts past bans. The third is a token bucket that gets one token per
//! second: a ban takes as many tokens as it has seconds. Every check of the policy requires in the same step that this
//! bucket is full, and takes nothing of it.
//!
//! A ban starts in a step of its own. If several checks try to start it at the same time, the step admits one of them.
//! If a check gets no reply, because it was cancelled or the store failed, the count of offences stays full, and the
//! next offence starts the ban.

use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{RateGuard, request::Request};
use crate::{
    Decision, Key, Policy, StoreError,
    policy::{Escalation, MAX_PAST_BANS},
    store::{BucketRequest, BucketStatus, Operation},
};

/// The store that counts an offence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OffenceStore {
    /// The store of the guard. All steps end by `until`.
    Shared { until: Instant },
    /// The memory of this process, because it has decided the check or the store is overloaded.
    Local,
}

impl Request<'_> {
    /// Counts a denial as an offence against each policy that denied, and bans keys with too many offences.
    ///
    /// Two kinds of denials are not counted. If keys need a step each, a denial may be caused by units that are
    /// refunded a moment later. In a full in-memory store, keys that share a count may be denied because of each other.
    pub(super) async fn escalate(&self, decision: Decision) -> Decision {
        if decision.is_allowed()
            || decision.is_denied_for_others()
            || decision.banned_for().is_some()
            || self.limits.iter().all(|requested| requested.policy.escalation().is_none())
            || self.may_be_denied_in_error()
        {
            return decision;
        }
        // Boxed, because the future is large and offences are rare.
        Box::pin(self.count_offences(decision)).await
    }

    async fn count_offences(&self, mut decision: Decision) -> Decision {
        let buckets = self.quota_buckets();
        let offence_store = if decision.is_local() {
            OffenceStore::Local
        } else {
            OffenceStore::Shared { until: Instant::now() + self.guard().shared.deadline }
        };
        for (limit, requested) in self.limits.iter().enumerate() {
            let Some(escalation) = requested.policy.escalation() else { continue };
            let has_denied = buckets.iter().zip(decision.statuses()).any(|(bucket, status)| {
                // A local decision checks a share of the quota. Its denial does not imply that the quota had no room.
                bucket.limit == limit
                    && status.retry_after() != Some(Duration::ZERO)
                    && status.quota() == bucket.request.quota
            });
            if requested.is_exempt_from_ban || !has_denied {
                continue;
            }
            let ban = self.guard().apply_offence(escalation, &requested.key, offence_store).await;
            if let Some(ban) = ban {
                decision = decision.banned(requested.policy, ban).denied();
            }
        }
        decision
    }
}

impl RateGuard {
    /// Counts an offence of a [hashed](Self::hashed_key) key against a policy. Returns the time until the ban of the
    /// key ends, if it is banned now.
    #[doc(hidden)]
    pub async fn record_offence(&self, policy: &Policy, key: &Key) -> Option<Duration> {
        let offence_store = OffenceStore::Shared { until: Instant::now() + self.shared.deadline };
        let escalation = policy.escalation().filter(|_| !policy.is_in_shadow())?;
        self.apply_offence(escalation, key, offence_store).await
    }

    /// Counts an offence. Returns the time until the ban of the key ends, if it is banned now.
    ///
    /// If the store is overloaded, the memory of this process counts the offence. A ban in one of the two is copied to
    /// the other.
    async fn apply_offence(
        &self,
        escalation: &Escalation,
        key: &Key,
        offence_store: OffenceStore,
    ) -> Option<Duration> {
        let mut ban = self.count_offence(escalation, key, offence_store).await;
        let mut is_local = offence_store == OffenceStore::Local;
        if let Err(cause) = &ban
            && cause.is_caused_by_load()
        {
            is_local = true;
            ban = self.count_offence(escalation, key, OffenceStore::Local).await;
        }
        match ban {
            Ok(Some(ban)) => {
                let (bucket, seconds) = (escalation.ban_bucket_name(), ban.as_secs());
                log::debug!(target: "rateguard", "banned by `{bucket}` for {seconds} s");
                if is_local {
                    // Other processes get the ban from the store. If this fails, only this process enforces the ban.
                    let request = [escalation.ban_for(key, ban)];
                    let deadline = self.shared.deadline;
                    let _ = self.run_operation(Operation::Check, &request, deadline).await;
                } else {
                    self.ban_locally(escalation, key, ban);
                }
                Some(ban)
            }
            Ok(None) => None,
            Err(cause) => {
                // This offence may be lost. The next denial is counted again.
                self.record_ban_failure(cause);
                None
            }
        }
    }

    /// Counts an offence, and starts a ban after too many offences. Returns the time until the ban ends.
    async fn count_offence(
        &self,
        escalation: &Escalation,
        key: &Key,
        offence_store: OffenceStore,
    ) -> Result<Option<Duration>, StoreError> {
        let run = async |operation, requests: &[BucketRequest<'_>]| match offence_store {
            OffenceStore::Shared { until } => {
                let left = until.saturating_duration_since(Instant::now());
                self.run_operation(operation, requests, left).await
            }
            OffenceStore::Local => Ok(self.shared.local.apply(operation, requests)),
        };
        let mut offence: SmallVec<[BucketRequest<'_>; 3]> =
            [escalation.offence(key), escalation.ban_check(key)].into_iter().collect();
        offence.extend(escalation.past_bans(key, 0));
        let verdict = run(Operation::Check, &offence).await?;
        let statuses: SmallVec<[BucketStatus; 3]> = verdict.statuses().collect();
        let (offences, ban_check) = (statuses[0], statuses[1]);
        if ban_check.retry_after != Some(Duration::ZERO) {
            return Ok(ban_check.retry_after);
        }
        if verdict.is_allowed() && offences.remaining > 0 {
            return Ok(None);
        }

        let left = statuses.get(2).map_or(MAX_PAST_BANS, |bans| bans.remaining);
        let past_bans = MAX_PAST_BANS.saturating_sub(left) as usize;
        let length = escalation.ban().lengths().nth(past_bans).unwrap_or_default();
        // A ban has fewer than 2^23 seconds, so the number fits.
        let seconds = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
        let mut new_ban: SmallVec<[BucketRequest<'_>; 2]> =
            [escalation.ban_request(key, seconds)].into_iter().collect();
        new_ban.extend(escalation.past_bans(key, 1).filter(|_| left > 0));
        let is_started = run(Operation::Check, &new_ban).await.map(|verdict| verdict.is_allowed());
        // The peek finds a ban that started although its reply was lost, and a ban of a concurrent check. It finds none
        // if a full in-memory store had no room for the ban.
        let ban_check = run(Operation::Peek, &[escalation.ban_check(key)]).await;
        let ban = match ban_check.map(|verdict| verdict.statuses().next()?.retry_after) {
            Ok(left) => left.filter(|left| !left.is_zero()),
            Err(_) => is_started?.then_some(length),
        };
        if ban.is_none() {
            return is_started.map(|_| None);
        }
        if is_started != Ok(false) {
            // The next ban needs the full number of offences again. If this reset fails, it starts earlier.
            let _ = run(Operation::Reset, &offence[..1]).await;
        }
        Ok(ban)
    }
}
