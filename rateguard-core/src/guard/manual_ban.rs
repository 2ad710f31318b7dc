//! Manual bans: an operator starts or ends the ban of a key.

use std::{error::Error, fmt, time::Duration};

use super::{RateGuard, Unavailable};
use crate::{
    Ban, Key, Policy, StoreError,
    policy::Escalation,
    store::{BucketRequest, Operation},
};

/// The maximum number of attempts to extend a ban. An attempt fails if a concurrent call has made the ban longer.
const MAX_ATTEMPTS: usize = 64;

impl RateGuard {
    /// Bans `key` under `policy` for `length` from now on, from 1 second to 90 days, and returns the time until the ban
    /// ends. This is `length`, up to 1 second more, or the rest of a longer active ban: a ban is extended, never
    /// shortened.
    ///
    /// The ban is in the store, so it applies on every server. The policy must have a [ban](Policy::ban) and must not
    /// be in [shadow](Policy::shadow); otherwise its requests do not check for bans. A manual ban counts neither as an
    /// offence nor as a past ban, so it does not change the length of later bans.
    ///
    /// # Errors
    ///
    /// [`BanError`] if the policy has no ban or is in shadow, the length is out of range, the store failed or has no
    /// room for the ban, or another call ended the ban at the same time.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
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
                // Denied if a concurrent call has made the ban longer.
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

    /// Ends the ban of `key` under `policy`, and removes its offences and past bans. The counts of its quotas stay.
    ///
    /// # Errors
    ///
    /// [`BanError`] if the policy has no ban, or the store failed.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
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

    /// The rest of the active ban; zero if the key is not banned.
    async fn banned_for(&self, escalation: &Escalation, key: &Key) -> Result<Duration, StoreError> {
        let ban_check = [escalation.ban_check(key)];
        let verdict = self.run_operation(Operation::Peek, &ban_check, self.shared.deadline).await?;
        Ok(verdict.statuses().next().and_then(|status| status.retry_after).unwrap_or_default())
    }

    /// Bans the key also for local decisions of this process.
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

/// The reason why a ban was not started or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BanError {
    /// The policy has no ban, so its requests do not check for one.
    NoBan,
    /// The policy is in shadow, so its requests do not check for bans.
    Shadow,
    /// The length is not from 1 second to 90 days.
    Length,
    /// The store has no room for another ban, or another call ended the ban at the same time.
    NotApplied,
    /// The store failed. It may still have started or ended the ban.
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

impl Error for BanError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unavailable(unavailable) => unavailable.source(),
            _ => None,
        }
    }
}
