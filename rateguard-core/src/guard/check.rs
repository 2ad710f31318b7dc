//! Shortcuts for requests for one unit of one key.

use std::time::Duration;

use super::{RateGuard, Request, Unavailable};
use crate::{Decision, Key, Policy};

/// Requests for one unit of one key.
impl RateGuard {
    /// Returns a request without keys. Add keys with [`Request::and`] or [`Request::and_hashed`].
    #[doc(hidden)]
    pub fn empty_request(&self) -> Request<'_> {
        Request::new(self)
    }

    /// Returns a request for one unit of `key` against `policy`. Use the request for other costs, for several keys, and
    /// for operations such as [`reserve`](Request::reserve) and [`debit`](Request::debit).
    pub fn request<'a>(&'a self, policy: &'a Policy, key: &Key) -> Request<'a> {
        Request::new(self).and(policy, key)
    }

    /// Decides on one unit of `key` against `policy`, and takes the unit if the decision admits the request.
    ///
    /// The check ends at the [deadline](crate::RateGuardBuilder::deadline) of the guard. If a policy with a
    /// [ban](Policy::ban) denies the request, the guard takes up to one deadline more to count the offence and to start
    /// a ban.
    ///
    /// A guard that counts in memory needs no async runtime. A guard on Redis or Upstash needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not decide within the deadline, unless the failure mode is
    /// [`OnError::Local`](crate::OnError::Local). [`Unavailable::lets_pass`] returns whether the failure mode admits
    /// the request. After the error, the store may still have taken the unit.
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

    /// Checks one unit of `key` against `policy` and returns whether the request is admitted. If the store fails, the
    /// failure mode decides.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn allows(&self, policy: &Policy, key: &Key) -> bool {
        self.request(policy, key).allows().await
    }

    /// Returns the decision that [`check`](Self::check) would make, and takes no unit.
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

    /// Removes the counts, offences and bans of `key` for `policy`.
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

    /// Waits up to `max` for room, and takes one unit of `key` against `policy`; see [`Request::check_or_wait`].
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
