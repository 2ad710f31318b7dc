//! The usual requests, without ado.

use std::time::Duration;

use super::{RateGuard, Request, Unavailable};
use crate::{Decision, Key, Policy};

/// The usual requests: one unit of one key.
impl RateGuard {
    /// A request for nothing, to which limits are to be added.
    #[doc(hidden)]
    pub fn empty_request(&self) -> Request<'_> {
        Request::new(self)
    }

    /// A request to be decided, for a unit of `key` under `policy`: for costs, for several keys at once, and for what
    /// else there is to do than to check.
    pub fn request<'a>(&'a self, policy: &'a Policy, key: &Key) -> Request<'a> {
        Request::new(self).and(policy, key)
    }

    /// Asks for one unit of `key` under `policy`, and takes it if it is admitted.
    ///
    /// It takes no longer than the guard's deadline. A guard on Redis needs a Tokio runtime around it, as actix-web
    /// is; one in memory needs none.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer in time. It says whether the policy lets the request pass then.
    /// The store may yet have recorded the request.
    ///
    /// # Panics
    ///
    /// A guard on Redis, where there is no Tokio runtime with its timer enabled.
    pub async fn check(&self, policy: &Policy, key: &Key) -> Result<Decision, Unavailable> {
        let key = self.hashed_key(key);
        match self.check_fast(policy, &key, 1) {
            Some(decision) => Ok(decision),
            None => self.empty_request().and_hashed(policy, key, 1).check_via_store().await,
        }
    }

    /// Whether one unit of `key` under `policy` may be taken: [`check`](Self::check), with what the policy says for
    /// when the store does not answer.
    pub async fn allows(&self, policy: &Policy, key: &Key) -> bool {
        self.request(policy, key).allows().await
    }

    /// Says what [`check`](Self::check) would, and takes nothing.
    ///
    /// # Errors
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn peek(&self, policy: &Policy, key: &Key) -> Result<Decision, Unavailable> {
        self.request(policy, key).peek().await
    }

    /// Forgets what was counted of `key` under `policy`, and its bans.
    ///
    /// # Errors
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn reset(&self, policy: &Policy, key: &Key) -> Result<(), Unavailable> {
        self.request(policy, key).reset().await
    }

    /// Takes one unit of `key` under `policy` as soon as there is room, if that is within `max`; see
    /// [`Request::check_or_wait`].
    ///
    /// # Errors
    ///
    /// # Panics
    ///
    /// As there.
    pub async fn check_or_wait(
        &self,
        policy: &Policy,
        key: &Key,
        max: Duration,
    ) -> Result<Decision, Unavailable> {
        self.request(policy, key).check_or_wait(max).await
    }
}
