//! Sends checks and measures their duration. During every fault, a check must end within its deadline.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use actix_rateguard::{
    Decision, Key, Policy, RateGuard, RateGuardBuilder, StoreError, builder::FallibleStoreConfig,
};
use futures_util::future::join_all;

use crate::support::TEST_TIMEOUT;

/// A deadline that is as short as in production.
pub const DEADLINE: Duration = Duration::from_millis(100);
/// The maximum duration of a check with the deadline [`DEADLINE`]: this deadline, plus a margin for a busy machine.
pub const MAX_WAIT: Duration = Duration::from_secs(5);
/// A deadline that is long enough for every reply, even on a slow machine.
pub const LONG_DEADLINE: Duration = Duration::from_secs(5);

/// Returns whether the store did not decide the check.
///
/// On a busy machine, this process may stop for longer than the deadline, and then the guard decides in memory.
/// Therefore a decision in memory counts as undecided.
pub fn is_undecided(result: &Result<Decision, StoreError>) -> bool {
    result.as_ref().map_or(true, Decision::is_local)
}

/// A guard, and the policy that its checks use.
#[derive(Clone)]
pub struct Checks {
    pub guard: RateGuard,
    pub policy: Policy,
    /// The maximum duration of a check.
    max_wait: Duration,
}

impl Checks {
    /// Creates a guard without a denial cache, so that every check is sent to the store.
    pub fn new<S>(settings: RateGuardBuilder<S>, deadline: Duration, quotas: &str) -> Self
    where
        S: FallibleStoreConfig,
    {
        let policy = Policy::new("p", quotas.to_owned()).unwrap();
        let settings = settings.deadline(deadline).denial_cache_ttl(Duration::ZERO);
        let guard = settings.build().unwrap();
        Self { guard, policy, max_wait: deadline + MAX_WAIT - DEADLINE }
    }

    /// Creates a guard with the deadline [`DEADLINE`]. The policy has a limit that no test reaches.
    pub fn with_short_deadline<S: FallibleStoreConfig>(settings: RateGuardBuilder<S>) -> Self {
        Self::new(settings, DEADLINE, "1000000/hour")
    }

    /// Checks a key, and asserts that the check does not take longer than `max_wait`.
    pub async fn check(&self, key: &Key) -> Result<Decision, StoreError> {
        let start = Instant::now();
        let result = self.guard.check(&self.policy, key).await;
        assert!(start.elapsed() < self.max_wait, "{:?}", start.elapsed());
        result.map_err(|unavailable| unavailable.cause())
    }

    /// Checks the global key.
    pub async fn check_global(&self) -> Result<Decision, StoreError> {
        self.check(&Key::global()).await
    }

    /// Runs concurrent checks of the global key, and returns their results.
    pub async fn check_concurrently(&self, number: usize) -> Vec<Result<Decision, StoreError>> {
        join_all((0..number).map(|_| self.check_global())).await
    }

    /// Waits for `number` decisions of the store, and returns how many of them admitted the check.
    pub async fn count_admitted(&self, key: &Key, number: usize) -> usize {
        let mut admitted = 0;
        for _ in 0..number {
            admitted += usize::from(self.wait_for_decision_on(key).await.is_allowed());
        }
        admitted
    }

    /// Waits until the store decides a check, and returns this decision.
    pub async fn wait_for_decision(&self) -> Decision {
        self.wait_for_decision_on(&Key::global()).await
    }

    pub async fn wait_for_decision_on(&self, key: &Key) -> Decision {
        self.poll_until(key, |result| result.ok().filter(|decision| !decision.is_local())).await
    }

    /// Waits until a check fails with this error.
    pub async fn wait_for_error(&self, cause: StoreError) {
        self.poll_until(&Key::global(), |result| (result.err() == Some(cause)).then_some(())).await;
    }

    /// Waits until the store decides again after a fault. Asserts that the store did not count any check that was sent
    /// before the call of this method.
    ///
    /// `left` is the number of remaining units before the fault.
    pub async fn assert_no_late_counts(&self, left: u32) {
        let checks = Cell::new(0);
        let decision = self
            .poll_until(&Key::global(), |result| {
                // On a busy machine, the store may have counted a check whose reply arrived too late.
                let may_count =
                    !matches!(result, Err(StoreError::Unreachable(_) | StoreError::NotReady(_)));
                checks.set(checks.get() + u32::from(may_count));
                result.ok().filter(|decision| !decision.is_local())
            })
            .await;
        let counted = left - decision.remaining();
        assert!((1..=checks.get()).contains(&counted), "{counted} of {}", checks.get());
    }

    /// Waits until the guard decides a check in memory. The guard does this if the store is reachable but cannot
    /// decide.
    pub async fn wait_for_local_decision(&self) {
        let is_local = |result: Result<Decision, StoreError>| result.is_ok_and(|it| it.is_local());
        self.poll_until(&Key::global(), |result| is_local(result).then_some(())).await;
    }

    /// Sends checks for this duration, and asserts that the guard decides all of them in memory.
    pub async fn assert_local_for(&self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            assert!(self.check_global().await.unwrap().is_local());
        }
    }

    /// Sends checks for this duration, and asserts that the store decides none of them.
    pub async fn assert_undecided_for(&self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            assert!(is_undecided(&self.check_global().await));
        }
    }

    async fn poll_until<T>(
        &self,
        key: &Key,
        wanted: impl Fn(Result<Decision, StoreError>) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            let result = self.check(key).await;
            let last = format!("{result:?}");
            if let Some(value) = wanted(result) {
                return value;
            }
            assert!(start.elapsed() < TEST_TIMEOUT, "timed out; the last result: {last}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
