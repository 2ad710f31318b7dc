//! Checks that are timed: whatever the fault, none may wait long.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rateguard::{Decision, Key, Policy, RateGuard, RateGuardBuilder, StoreError};

use crate::support::PATIENCE;

pub const DEADLINE: Duration = Duration::from_millis(100);
/// The deadline and a little, on a machine that does much else.
pub const AT_MOST: Duration = Duration::from_secs(5);
/// A deadline that no answer misses that is on its way, however slow the machine is.
pub const PATIENT: Duration = Duration::from_secs(5);

/// Whether the store has not decided. On a machine that does much else, a check may be late because this process did not run,
/// and is decided in memory then.
pub fn is_undecided(answer: &Result<Decision, StoreError>) -> bool {
    answer.as_ref().map_or(true, Decision::is_local)
}

/// One guard that is asked about one policy.
#[derive(Clone)]
pub struct Checks {
    pub guard: RateGuard,
    pub policy: Policy,
    /// The longest that any may wait.
    at_most: Duration,
}

impl Checks {
    /// All of them are asked for, also after a denial.
    pub fn new(settings: RateGuardBuilder, deadline: Duration, quotas: &str) -> Self {
        let policy = Policy::new("p", quotas.to_owned()).unwrap();
        let settings = settings.deadline(deadline).remember_denials(Duration::ZERO);
        let guard = settings.build().unwrap();
        Self { guard, policy, at_most: deadline + AT_MOST - DEADLINE }
    }

    /// With a deadline as short as in production, and more room than any test takes.
    pub fn many(settings: RateGuardBuilder) -> Self {
        Self::new(settings, DEADLINE, "1000000/hour")
    }

    /// The answer, which has not been long in coming.
    pub async fn of(&self, key: &Key) -> Result<Decision, StoreError> {
        let start = Instant::now();
        let answer = self.guard.check(&self.policy, key).await;
        assert!(start.elapsed() < self.at_most, "{:?}", start.elapsed());
        answer.map_err(|unavailable| unavailable.cause())
    }

    /// Of the key that all have in common.
    pub async fn once(&self) -> Result<Decision, StoreError> {
        self.of(&Key::global()).await
    }

    /// So many at once.
    pub async fn at_once(&self, number: usize) -> Vec<Result<Decision, StoreError>> {
        join_all((0..number).map(|_| self.once())).await
    }

    /// How many of so many, one after the other, are admitted; all are decided on.
    pub async fn admitted(&self, key: &Key, number: usize) -> usize {
        let mut admitted = 0;
        for _ in 0..number {
            admitted += usize::from(self.decided_of(key).await.is_allowed());
        }
        admitted
    }

    /// A decision, as soon as there is one again.
    pub async fn decided(&self) -> Decision {
        self.decided_of(&Key::global()).await
    }

    pub async fn decided_of(&self, key: &Key) -> Decision {
        self.until(key, |answer| answer.ok().filter(|decision| !decision.is_local())).await
    }

    /// Until this is why there is no decision.
    pub async fn lost(&self, cause: StoreError) {
        self.until(&Key::global(), |answer| (answer.err() == Some(cause)).then_some(())).await;
    }

    /// Until there is a decision again, and it shows that since so many were left nothing has been counted but what was
    /// asked here.
    pub async fn resume_without_ghosts(&self, left: u32) {
        let asked = Cell::new(0);
        let decision = self
            .until(&Key::global(), |answer| {
                // On a machine that does much else, one may have come in time whose answer came too late.
                let may_count =
                    !matches!(answer, Err(StoreError::Unreachable | StoreError::NotReady));
                asked.set(asked.get() + u32::from(may_count));
                answer.ok().filter(|decision| !decision.is_local())
            })
            .await;
        let counted = left - decision.remaining();
        assert!((1..=asked.get()).contains(&counted), "{counted} of {}", asked.get());
    }

    /// Until a check is decided in memory, as the store is there but cannot decide.
    pub async fn local(&self) {
        let is_local = |answer: Result<Decision, StoreError>| answer.is_ok_and(|it| it.is_local());
        self.until(&Key::global(), |answer| is_local(answer).then_some(())).await;
    }

    /// For a while, all is decided in memory.
    pub async fn stay_local(&self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            assert!(self.once().await.unwrap().is_local());
        }
    }

    /// For a while, nothing is decided.
    pub async fn stay_lost(&self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            assert!(is_undecided(&self.once().await));
        }
    }

    async fn until<T>(
        &self,
        key: &Key,
        wanted: impl Fn(Result<Decision, StoreError>) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            let answer = self.of(key).await;
            let seen = format!("{answer:?}");
            if let Some(wanted) = wanted(answer) {
                return wanted;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain: {seen}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
