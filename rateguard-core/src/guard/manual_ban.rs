//! Manual bans are bans that an operator starts and ends.

use std::{error::Error, fmt, time::Duration};

use super::{RateGuard, Unavailable};
use crate::{
    Ban, Key, Policy, StoreError,
    policy::Escalation,
    store::{BucketRequest, Operation},
};

/// The maximum number of attempts to extend a ban. An attempt fails if a concurrent call extends the ban after this
/// call has read the remaining time of the ban.
const MAX_ATTEMPTS: usize = 64;

impl RateGuard {
    /// Bans `key` for `policy` from now on, and returns the time until the ban ends. The duration `length` of the ban
    /// must be from 1 second to 90 days. The ban lasts for `length` or up to 1 second longer. The returned time can be
    /// slightly shorter than `length`, because the ban begins before the call returns. If the key already has a longer
    /// ban, this method changes nothing, and returns the time until the longer ban ends.
    ///
    /// The guard writes the ban to the store, so the ban applies on every application server. The policy must have a
    /// [ban setting](Policy::ban) and must not be in [shadow mode](Policy::shadow). The checks of a policy that has no
    /// ban setting or is in shadow mode do not look for bans. A manual ban does not count as an offence or as a past
    /// ban, so it does not change the duration of later bans.
    ///
    /// # Errors
    ///
    /// Returns [`BanError`] in these cases:
    ///
    /// - The policy has no ban setting, or is in shadow mode.
    /// - The duration is not from 1 second to 90 days.
    /// - The store failed, or has no room for the ban.
    /// - Another call ended the ban at the same time.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check`](Self::check).
    pub async fn ban(
        &self,
        policy: &Policy,
        key: &Key,
        length: Duration,
    ) -> Result<Duration, BanError> {
        let escalation = policy.escalation().ok_or(BanError::NoBan)?;
        if policy.is_in_shadow() {
            return Err(BanError::Shadow);
        }
        if !(Duration::from_secs(1)..=Ban::MAX_LENGTH).contains(&length) {
            return Err(BanError::Length);
        }
        let key = self.hashed_key(key);
        let store_error = |cause| self.ban_store_error(cause, policy, escalation, &key);
        let mut left = self.banned_for(escalation, &key).await.map_err(store_error)?;
        for _ in 0..MAX_ATTEMPTS {
            if left < length {
                // The store denies the extension if a concurrent call has extended the ban. The loop then tries
                // again with the new remaining time of the ban.
                let extension = [escalation.longer_ban(&key, left, length)];
                let result =
                    self.run_operation(Operation::Check, &extension, self.shared.deadline).await;
                let is_extended = result.map_err(store_error)?.is_allowed();
                left = self.banned_for(escalation, &key).await.map_err(store_error)?;
                if !is_extended {
                    continue;
                }
            }
            if left.is_zero() {
                break;
            }
            self.ban_locally(escalation, &key, left);
            return Ok(left);
        }
        Err(BanError::NotApplied)
    }

    /// Ends the ban of `key` for `policy`, and removes the offences and past bans of the key. The counts for the
    /// quotas do not change.
    ///
    /// # Errors
    ///
    /// Returns [`BanError`] if the policy has no ban setting, or if the store failed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check`](Self::check).
    pub async fn unban(&self, policy: &Policy, key: &Key) -> Result<(), BanError> {
        let escalation = policy.escalation().ok_or(BanError::NoBan)?;
        let key = self.hashed_key(key);
        let records = escalation.records(&key);
        let result = self.run_operation(Operation::Reset, &records, self.shared.deadline).await;
        result.map_err(|cause| self.ban_store_error(cause, policy, escalation, &key))?;
        if self.has_remote_store() {
            self.shared.local.mirror_undo(Operation::Reset, &records);
        }
        Ok(())
    }

    /// Returns the time until the active ban of the key ends. Returns zero if the key is not banned.
    async fn banned_for(&self, escalation: &Escalation, key: &Key) -> Result<Duration, StoreError> {
        let ban_check = [escalation.ban_check(key)];
        let verdict = self.run_operation(Operation::Peek, &ban_check, self.shared.deadline).await?;
        Ok(verdict.statuses().next().and_then(|status| status.retry_after).unwrap_or_default())
    }

    /// Copies the ban of the key to this process's memory, so that the guard also enforces the ban when it decides
    /// in this memory.
    pub(super) fn ban_locally(&self, escalation: &Escalation, key: &Key, left: Duration) {
        if self.has_remote_store() && !left.is_zero() {
            let ban = [escalation.ban_for(key, left)];
            self.shared.local.apply(Operation::Check, &ban);
        }
    }

    fn ban_store_error(
        &self,
        cause: StoreError,
        policy: &Policy,
        escalation: &Escalation,
        key: &Key,
    ) -> BanError {
        let ban_check: [BucketRequest<'_>; 1] = [escalation.ban_check(key)];
        BanError::Unavailable(self.unavailable(cause, self.on_error_of(Some(policy)), &ban_check))
    }
}

/// The reason why a call could not start or end a ban.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BanError {
    /// The policy has no ban setting, so its checks do not look for bans.
    NoBan,
    /// The policy is in shadow mode, so its checks do not look for bans.
    Shadow,
    /// The duration of the ban is not from 1 second to 90 days.
    Length,
    /// The store has no room for another ban, or another call ended the ban at the same time.
    NotApplied,
    /// The store failed. It is possible that the store has started or ended the ban before the failure.
    Unavailable(Unavailable),
}

impl fmt::Display for BanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBan => f.write_str(
                "expected a policy with a ban, found a policy without one; add a ban such as `ban = \"100/minute for 1m\"`",
            ),
            Self::Shadow => {
                f.write_str("expected an enforced policy, found a policy in shadow, which bans no key")
            }
            Self::Length => f.write_str("expected a ban length from 1 second to 90 days"),
            Self::NotApplied => f.write_str(
                "the key is not banned: the store has no room for another ban, or another call ended the ban at the same time",
            ),
            Self::Unavailable(unavailable) => unavailable.fmt(f),
        }
    }
}

actix_rateguard_grammar::debug_as_display!(BanError);

impl Error for BanError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unavailable(unavailable) => unavailable.source(),
            _ => None,
        }
    }
}
