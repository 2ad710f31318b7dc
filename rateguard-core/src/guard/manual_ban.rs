//! Bans that an operator begins and ends.

use std::{error::Error, fmt, time::Duration};

use super::{RateGuard, Unavailable};
use crate::{
    Ban, Key, Policy, StoreError,
    policy::Escalation,
    store::{BucketRequest, Operation},
};

/// So often another ban may come between before that is given up. Each is longer than the one before it.
const MOST_TURNS: usize = 64;

impl RateGuard {
    /// Bans `key` under `policy` for so long from now on, and up to a second more, and says for how long it is banned then. A ban that
    /// is under way is made longer, never shorter. It holds on every server, as it is in the store.
    ///
    /// The policy has to have a [ban](Policy::ban): under one without, or in [shadow](Policy::shadow), no request looks for any. It is no offence, so the
    /// next ban that requests lead to is as long as it would have been.
    ///
    /// # Errors
    ///
    /// [`BanError`] if the policy has no ban or is in shadow, it would be shorter than a second or longer than 90 days, the store did not
    /// answer, it has no room for the ban, or somebody ends it at the same time.
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
        let unanswered = |cause| self.unanswered(cause, policy, escalation, &key);
        let mut left = self.banned_for(escalation, &key).await.map_err(unanswered)?;
        for _ in 0..MOST_TURNS {
            if left < length {
                // Denied if another one has made it longer meanwhile.
                let longer = escalation.longer_ban(&key, left, length);
                let answer = self.ask(Operation::Check, &[longer], self.shared.deadline).await;
                let is_longer = answer.map_err(unanswered)?.is_allowed();
                left = self.banned_for(escalation, &key).await.map_err(unanswered)?;
                if !is_longer {
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

    /// Ends the ban of `key` under `policy`, and forgets its offences and earlier bans. What was counted of its quotas stays.
    ///
    /// # Errors
    ///
    /// [`BanError`] if the policy has no ban, or the store did not answer.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn unban(&self, policy: &Policy, key: &Key) -> Result<(), BanError> {
        let escalation = policy.escalation().ok_or(BanError::NoBan)?;
        let key = self.hashed_key(key);
        let records = escalation.records(&key);
        let answer = self.ask(Operation::Reset, &records, self.shared.deadline).await;
        answer.map_err(|cause| self.unanswered(cause, policy, escalation, &key))?;
        if self.has_remote_store() {
            self.shared.local.mirror_undo(Operation::Reset, &records);
        }
        Ok(())
    }

    async fn banned_for(&self, escalation: &Escalation, key: &Key) -> Result<Duration, StoreError> {
        let ban_check = escalation.ban_check(key);
        let verdict = self.ask(Operation::Peek, &[ban_check], self.shared.deadline).await?;
        Ok(verdict.levels().next().and_then(|level| level.retry_after).unwrap_or_default())
    }

    /// Bans the key for local decisions as well.
    pub(super) fn ban_locally(&self, escalation: &Escalation, key: &Key, left: Duration) {
        if self.has_remote_store() && !left.is_zero() {
            let charge = escalation.ban_for(key, left);
            self.shared.local.apply(Operation::Check, &[charge]);
        }
    }

    fn unanswered(
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

/// Why a ban was not begun or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BanError {
    /// The policy has no ban, so no request looks for one.
    NoBan,
    /// The policy is in shadow, so no request looks for its bans.
    Shadow,
    /// The ban would be too short or too long.
    Length,
    /// The store is full and has no room for it, or somebody has ended it meanwhile.
    NotApplied,
    /// The store did not answer. It may have done it nevertheless.
    Unavailable(Unavailable),
}

impl fmt::Display for BanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBan => f.write_str(
                "the policy has no ban, so no request looks for one; give it one, such as `ban = \"100/minute for 1m\"`",
            ),
            Self::Shadow => {
                f.write_str("the policy is in shadow and refuses nobody, so no request looks for its bans")
            }
            Self::Length => f.write_str("a ban lasts from 1 second to 90 days"),
            Self::NotApplied => f.write_str(
                "the key is not banned: the store is full and has no room for that, or somebody has ended the ban meanwhile",
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
