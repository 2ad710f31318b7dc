//! Shortcut methods for requests that ask for one unit of one key.

use std::time::Duration;

use super::{RateGuard, Request, Unavailable};
use crate::{Decision, Key, Policy};

/// Methods that create requests, and methods that check one unit for one key directly.
impl RateGuard {
    /// Returns a request without keys. Add keys with [`Request::and`] or [`Request::and_hashed`].
    #[doc(hidden)]
    pub fn empty_request(&self) -> Request<'_> {
        Request::new(self)
    }

    /// Creates a [`Request`] that takes one unit for `key` under `policy`. You can set another cost and add more keys.
    /// The guard sends nothing to the store until you call an operation such as [`check`](Request::check),
    /// [`reserve`](Request::reserve) or [`debit`](Request::debit).
    pub fn request<'a>(&'a self, policy: &'a Policy, key: &Key) -> Request<'a> {
        Request::new(self).and(policy, key)
    }

    /// Decides whether `policy` has room for one unit of `key`, and takes the unit if there is room.
    ///
    /// The check lasts at most as long as the [deadline](crate::RateGuardBuilder::deadline) of the guard. If a policy
    /// with a [ban](Policy::ban) denies the request, the guard also counts an offence, and starts a ban if the key has
    /// too many offences. A second deadline of the same length applies to the offence and the ban together.
    ///
    /// A guard that counts in memory needs no async runtime. A guard that counts in Redis Cluster or Upstash
    /// needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns [`Unavailable`] if the store did not decide within the deadline. In the failure mode
    /// [`OnError::Local`](crate::OnError::Local), the method returns a decision instead of this error, because this
    /// process then decides in its memory. [`Unavailable::lets_pass`] returns whether the failure mode admits the
    /// request. After an error, it is possible that the store has taken the unit.
    ///
    /// # Panics
    ///
    /// Panics if the guard counts in Redis Cluster or Upstash and there is no Tokio runtime with its timer enabled.
    pub async fn check(&self, policy: &Policy, key: &Key) -> Result<Decision, Unavailable> {
        let key = self.hashed_key(key);
        let overridden = self.overridden_policy(policy, &key);
        let policy = overridden.as_deref().unwrap_or(policy);
        match self.check_fast(policy, &key, 1) {
            Some(decision) => Ok(decision),
            // The future is boxed, so that the future of `check` is small. The fast path decides most checks.
            None => Box::pin(self.check_via_store(policy, &key, 1, false, self.on_error())).await,
        }
    }

    /// Checks one unit for `key` under `policy`, and returns true if the request is admitted. If the store fails,
    /// the failure mode decides.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check`](Self::check).
    pub async fn allows(&self, policy: &Policy, key: &Key) -> bool {
        self.request(policy, key).allows().await
    }

    /// Returns the decision that [`check`](Self::check) would return now, but takes no unit.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Request::peek`].
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check`](Self::check).
    pub async fn peek(&self, policy: &Policy, key: &Key) -> Result<Decision, Unavailable> {
        self.request(policy, key).peek().await
    }

    /// Removes the counts, offences and bans that `key` has under `policy`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Request::reset`].
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check`](Self::check).
    pub async fn reset(&self, policy: &Policy, key: &Key) -> Result<(), Unavailable> {
        self.request(policy, key).reset().await
    }

    /// Waits until `policy` has room for one unit of `key`, and then takes the unit. If there is no room within the
    /// time `max`, the method returns a denial. [`Request::check_or_wait`] describes the order of waiting requests.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Request::check_or_wait`].
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`Request::check_or_wait`].
    pub async fn check_or_wait(
        &self,
        policy: &Policy,
        key: &Key,
        max: Duration,
    ) -> Result<Decision, Unavailable> {
        self.request(policy, key).check_or_wait(max).await
    }
}
