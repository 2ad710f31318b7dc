//! Shortcuts for requests of one unit of one key.

use std::time::Duration;

use super::{RateGuard, Request, Unavailable};
use crate::{Decision, Key, Policy};

/// Requests of one unit of one key.
impl RateGuard {
    /// Returns a request without keys. Add them with [`Request::and`] or [`Request::and_hashed`].
    #[doc(hidden)]
    pub fn empty_request(&self) -> Request<'_> {
        Request::new(self)
    }

    /// Returns a request for one unit of `key` under `policy`. Use it for other costs, for several keys, and for
    /// operations such as [`reserve`](Request::reserve) and [`debit`](Request::debit).
    pub fn request<'a>(&'a self, policy: &'a Policy, key: &Key) -> Request<'a> {
        Request::new(self).and(policy, key)
    }

    /// Decides on one unit of `key` under `policy`, and takes it if it is admitted.
    ///
    /// It ends at the [deadline](crate::RateGuardBuilder::deadline) of the guard. A denial under a policy with a
    /// [ban](Policy::ban) is then counted as an offence and may start the ban, which takes up to one deadline more.
    ///
    /// A guard in memory needs no runtime. A guard on Redis or Upstash needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not decide within the deadline, unless the failure mode is
    /// [`OnError::Local`](crate::OnError::Local). [`Unavailable::lets_pass`] returns whether the failure mode admits
    /// the request. The store may still have taken the unit.
    ///
    /// # Panics
    ///
    /// Panics if the guard is on Redis or Upstash and there is no Tokio runtime with its timer enabled.
    pub async fn check(&self, policy: &Policy, key: &Key) -> Result<Decision, Unavailable> {
        let key = self.hashed_key(key);
        match self.check_fast(policy, &key, 1) {
            Some(decision) => Ok(decision),
            None => self.empty_request().and_hashed(policy, key, 1).check_via_store().await,
        }
    }

    /// Checks one unit of `key` under `policy` and returns whether it is admitted. If the store fails, the failure mode
    /// decides.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn allows(&self, policy: &Policy, key: &Key) -> bool {
        self.request(policy, key).allows().await
    }

    /// Returns the decision that [`check`](Self::check) would make, and takes nothing.
    ///
    /// # Errors
    ///
    /// As [`Request::peek`].
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn peek(&self, policy: &Policy, key: &Key) -> Result<Decision, Unavailable> {
        self.request(policy, key).peek().await
    }

    /// Removes the counts of `key` under `policy`, its offences and its bans.
    ///
    /// # Errors
    ///
    /// As [`Request::reset`].
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn reset(&self, policy: &Policy, key: &Key) -> Result<(), Unavailable> {
        self.request(policy, key).reset().await
    }

    /// Waits up to `max` for room, and takes one unit of `key` under `policy`; see [`Request::check_or_wait`].
    ///
    /// # Errors
    ///
    /// As [`Request::check_or_wait`].
    ///
    /// # Panics
    ///
    /// As [`Request::check_or_wait`].
    pub async fn check_or_wait(
        &self,
        policy: &Policy,
        key: &Key,
        max: Duration,
    ) -> Result<Decision, Unavailable> {
        self.request(policy, key).check_or_wait(max).await
    }
}
