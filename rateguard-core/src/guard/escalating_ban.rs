//! Escalating bans are for clients that continue to send requests after a denial. Each further ban of a client can be
//! longer than the previous ban.
//!
//! For each key, the store has up to three buckets in addition to the buckets of the quotas. No policy can have the
//! names of these buckets. One bucket counts offences, and one bucket counts past bans. The third bucket is a token
//! bucket that gets one token per second. To start a ban, the guard takes one token for each second of the ban, so
//! the ban ends when the token bucket is full again. The store call of each check of the policy also tests whether
//! this token bucket is full, but takes no tokens from this bucket.
//!
//! The guard starts a ban in a separate store call. If several checks try to start a ban at the same time, the store
//! admits only one of these calls. If this call gets no reply, because the check was cancelled or the store failed,
//! the guard does not reset the count of offences, so the count stays at its maximum. With the next offence, the
//! guard finds this full count and starts the ban.

use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{RateGuard, request::Request};
use crate::{
    Decision, Key, Policy, StoreError,
    policy::{Escalation, MAX_PAST_BANS},
    store::{BucketRequest, BucketStatus, Operation},
};

/// The store in which the guard counts an offence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OffenceStore {
    /// The guard's store. All store calls for this offence end at the time `until` at the latest.
    Shared { until: Instant },
    /// The memory of this process. The guard uses this memory in two cases: the guard also decided the check in this
    /// memory, or the store is overloaded.
    Local,
}

impl Request<'_> {
    /// Counts a denial as an offence against each policy that denied the request, and bans keys with too many offences.
    ///
    /// Two kinds of denials are not counted, because another client may have caused them. First, if the guard calls
    /// the store separately for each key, units of another request may cause a denial, although the guard refunds these
    /// units a moment later. Second, in a full in-memory store, several keys share a count.
    pub(super) async fn escalate(&self, decision: Decision) -> Decision {
        if decision.is_allowed()
            || decision.is_denied_for_others()
            || decision.banned_for().is_some()
            || self.limits.iter().all(|requested| requested.policy.escalation().is_none())
            || self.may_be_denied_in_error()
        {
            return decision;
        }
        // The future is boxed, because it is large and offences are rare.
        Box::pin(self.count_offences(decision)).await
    }

    async fn count_offences(&self, mut decision: Decision) -> Decision {
        let buckets = self.quota_buckets(Operation::Check);
        let offence_store = if decision.is_local() {
            OffenceStore::Local
        } else {
            OffenceStore::Shared { until: Instant::now() + self.guard().shared.deadline }
        };
        for (limit, requested) in self.limits.iter().enumerate() {
            let Some(escalation) = requested.policy.escalation() else { continue };
            let has_denied = buckets.iter().zip(decision.statuses()).any(|(bucket, status)| {
                // A decision in this process's memory uses only this process's share of the quota. Even if the share
                // has no room, the whole quota may have room, so such a denial is not an offence.
                // A client cannot know when a request in progress ends, so a denial of such a limit is not an offence.
                bucket.limit == limit
                    && !status.quota().algorithm().has_permits()
                    && status.retry_after() != Some(Duration::ZERO)
                    && status.quota() == bucket.request.quota
            });
            if requested.is_exempt_from_ban || !has_denied {
                continue;
            }
            let ban = self.guard().apply_offence(escalation, &requested.key, offence_store).await;
            if let Some(ban) = ban {
                decision = decision.banned(&requested.policy, ban).denied();
            }
        }
        decision
    }
}

impl RateGuard {
    /// Counts an offence of a [hashed](Self::hashed_key) key against a policy. Returns the time until the ban of the
    /// key ends, if the key is banned now.
    #[doc(hidden)]
    pub async fn record_offence(&self, policy: &Policy, key: &Key) -> Option<Duration> {
        let offence_store = OffenceStore::Shared { until: Instant::now() + self.shared.deadline };
        let escalation = policy.escalation().filter(|_| !policy.is_in_shadow())?;
        self.apply_offence(escalation, key, offence_store).await
    }

    /// Counts an offence. Returns the time until the ban of the key ends, if the key is banned now.
    ///
    /// If the store is overloaded, this process counts the offence in memory. If a ban starts in the store, the
    /// guard copies the ban to this process's memory. If a ban starts in this memory, the guard copies the ban to
    /// the store.
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
                    // The guard copies the ban to the store, so that other processes enforce the ban, too. If this
                    // call fails, only this process enforces the ban.
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
                // The store may not have counted this offence. The client gets no error for this failure, and the
                // next denial of the client is again an offence.
                self.record_ban_failure(cause);
                None
            }
        }
    }

    /// Counts an offence, and starts a ban after too many offences. Returns the time until the ban ends, or `None` if
    /// the key is not banned.
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
        // A ban lasts less than 2^23 seconds, so the number of seconds fits into 32 bits.
        let seconds = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
        let mut new_ban: SmallVec<[BucketRequest<'_>; 2]> =
            [escalation.ban_request(key, seconds)].into_iter().collect();
        new_ban.extend(escalation.past_bans(key, 1).filter(|_| left > 0));
        let is_started = run(Operation::Check, &new_ban).await.map(|verdict| verdict.is_allowed());
        // The peek finds the new ban even if the reply to the store call that starts the ban was lost. It also finds
        // a ban that a concurrent check has started. The peek finds no ban if an in-memory store was full and could
        // not store the ban.
        let ban_check = run(Operation::Peek, &[escalation.ban_check(key)]).await;
        let ban = match ban_check.map(|verdict| verdict.statuses().next()?.retry_after) {
            Ok(left) => left.filter(|left| !left.is_zero()),
            Err(_) => is_started?.then_some(length),
        };
        if ban.is_none() {
            return is_started.map(|_| None);
        }
        if is_started != Ok(false) {
            // The guard resets the count of offences, so that the next ban again requires the number of offences
            // that the ban setting contains. If the reset fails, fewer offences lead to the next ban.
            let _ = run(Operation::Reset, &offence[..1]).await;
        }
        Ok(ban)
    }
}
