//! The guard: a store behind a deadline, with an answer for when the store has none.

mod builder;
mod claims;
mod outage;
mod unavailable;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::Either;

pub use self::{
    builder::{BuildError, RateGuardBuilder},
    outage::Failures,
    unavailable::Unavailable,
};
pub(crate) use self::{claims::Claim, outage::Line};
use self::{
    claims::{Claims, NameConflict},
    outage::Outage,
};
use crate::{
    Decision, Key, MemoryStore, OnError, Policy,
    bucket::Bucket,
    store::{Store, StoreError},
};

/// A rate limiter: checks keys against policies.
///
/// A clone is cheap and shares everything; make one guard for an application and give clones to the rest of it. It
/// knows nothing of HTTP: a queue consumer or a background task uses it as a handler does.
///
/// ```
/// # use rateguard::{Key, Policy, RateGuard};
/// # futures_util::FutureExt::now_or_never(async {
/// let guard = RateGuard::in_memory();
/// let policy = Policy::new("emails", "2/minute")?;
/// let key = Key::from("user-42");
///
/// assert_eq!(guard.check(&policy, &key).await?.remaining(), 1);
/// assert!(guard.allows(&policy, &key).await);
/// assert!(!guard.allows(&policy, &key).await);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
#[derive(Clone)]
pub struct RateGuard {
    shared: Arc<Shared>,
}

struct Shared {
    store: Box<dyn Store>,
    deadline: Duration,
    on_error: OnError,
    outage: Outage,
    claims: Claims,
}

impl RateGuard {
    /// A guard that counts in this process's memory. See [`builder`](Self::builder) for its settings.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(Box::new(MemoryStore::new()), builder::DEFAULT_DEADLINE, OnError::default())
    }

    /// A guard that counts in the Redis at `url`, together with all other guards of the same prefix there.
    ///
    /// The URL is `redis://[user][:password@]host[:port][/database]`.
    ///
    /// ```no_run
    /// # use rateguard::RateGuard;
    /// let guard = RateGuard::redis("redis://127.0.0.1:6379").build()?;
    /// # Ok::<(), rateguard::BuildError>(())
    /// ```
    #[cfg(feature = "redis")]
    pub fn redis(url: impl Into<String>) -> RateGuardBuilder {
        RateGuardBuilder::redis(url.into())
    }

    /// Settings for a guard that counts in memory.
    pub fn builder() -> RateGuardBuilder {
        RateGuardBuilder::memory(MemoryStore::new())
    }

    fn new(store: Box<dyn Store>, deadline: Duration, on_error: OnError) -> Self {
        let (outage, claims) = (Outage::new(), Claims::default());
        Self { shared: Arc::new(Shared { store, deadline, on_error, outage, claims }) }
    }

    /// Asks for one request of `key` under `policy`, and records it if it is admitted.
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
        let bucket = Bucket { name: policy.name(), key };
        let answer = match self.shared.store.check(bucket, policy.quota()) {
            Either::Left(at_once) => at_once.await,
            Either::Right(later) => {
                tokio::time::timeout(self.shared.deadline, later).await.unwrap_or_else(|_| {
                    self.shared.store.missed_deadline();
                    Err(StoreError::Timeout)
                })
            }
        };
        answer.map_err(|cause| {
            let on_error = policy.own_on_error().unwrap_or(self.shared.on_error);
            self.shared.outage.record(cause, on_error);
            Unavailable::new(cause, on_error)
        })
    }

    /// Whether one request of `key` under `policy` may go on: [`check`](Self::check), with what the policy says for
    /// when the store does not answer.
    pub async fn allows(&self, policy: &Policy, key: &Key) -> bool {
        match self.check(policy, key).await {
            Ok(decision) => decision.is_allowed(),
            Err(unavailable) => unavailable.lets_pass(),
        }
    }

    /// Tells guards apart, though not from those that are gone.
    #[cfg(feature = "macros")]
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// Notes who uses which name.
    pub(crate) fn claim(&self, claim: Claim<'_>) -> Result<(), NameConflict> {
        self.shared.claims.add(claim)
    }

    /// How many checks the store has left unanswered since this guard was made.
    #[must_use]
    pub fn failures(&self) -> Failures {
        self.shared.outage.failures()
    }
}

impl fmt::Debug for RateGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateGuard")
            .field("deadline", &self.shared.deadline)
            .field("on_error", &self.shared.on_error)
            .finish_non_exhaustive()
    }
}
