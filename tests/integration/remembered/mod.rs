//! Denials that are remembered: who comes again too early is refused by the process itself, and numbers stay true.

mod answers;
mod bounds;
mod changes;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use rateguard::{
    Key, MemoryStore, Policy, RateGuard,
    store::{Answer, Charge, Operation, Store},
    test_util::ManualClock,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// A store that is elsewhere, and counts what it is asked.
#[derive(Clone)]
struct Elsewhere {
    store: Arc<MemoryStore>,
    asked: Arc<AtomicU64>,
    /// The answers to this are so long on their way.
    late: Option<(Operation, Duration)>,
}

impl Elsewhere {
    /// One in which time stands still.
    fn new() -> Self {
        Self::of(MemoryStore::new().clock(ManualClock::new()))
    }

    fn of(store: MemoryStore) -> Self {
        let asked = Arc::new(AtomicU64::new(0));
        Self { store: Arc::new(store), asked, late: None }
    }

    /// A guard that remembers for longer than any test takes.
    fn guard(&self) -> RateGuard {
        self.remembering(HOUR)
    }

    fn remembering(&self, longest: Duration) -> RateGuard {
        let settings = RateGuard::builder().store(self.clone()).deadline(HOUR / 60);
        settings.remember_denials(longest).build().unwrap()
    }

    /// How often it was asked since the last time.
    fn asked(&self) -> u64 {
        self.asked.swap(0, SeqCst)
    }
}

impl Store for Elsewhere {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        Answer::Later(Box::pin(async move {
            self.asked.fetch_add(1, SeqCst);
            let answer = self.store.apply(operation, charges).get().await;
            if let Some((_, time)) = self.late.filter(|(late, _)| *late == operation) {
                tokio::time::sleep(time).await;
            }
            answer
        }))
    }
}

fn policy() -> Policy {
    Policy::new("p", "2/hour").unwrap()
}

async fn admitted(guard: &RateGuard, policy: &Policy, key: &Key) -> bool {
    guard.check(policy, key).await.unwrap().is_allowed()
}

/// How long it is to wait.
async fn denied(guard: &RateGuard, policy: &Policy, key: &Key) -> Duration {
    let decision = guard.check(policy, key).await.unwrap();
    assert!(!decision.is_allowed(), "{decision:?}");
    decision.retry_after().unwrap()
}

/// Takes all that there is. How long to wait for more.
async fn until_denied(guard: &RateGuard, policy: &Policy, key: &Key) -> Duration {
    loop {
        let decision = guard.check(policy, key).await.unwrap();
        if !decision.is_allowed() {
            return decision.retry_after().unwrap();
        }
    }
}

/// A key of which all is taken, and which is known to be denied.
async fn exhausted(guard: &RateGuard, policy: &Policy) -> Key {
    let key = Key::from("ann");
    until_denied(guard, policy, &key).await;
    key
}
