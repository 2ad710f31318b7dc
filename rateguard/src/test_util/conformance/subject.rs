//! A store under test.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use super::Time;
use crate::{
    Algorithm, Key, Quota, StoreError,
    store::{Answer, Bucket, Charge, Level, Operation, Receipt, Store, Verdict},
};

pub(super) struct Subject<'a> {
    store: &'a dyn Store,
    pub(super) time: Time,
    pub(super) algorithm: Algorithm,
    keys: u64,
}

impl<'a> Subject<'a> {
    pub(super) fn new(store: &'a dyn Store, time: Time, algorithm: Algorithm) -> Self {
        Self { store, time, algorithm, keys: RandomState::new().hash_one("keys") }
    }

    /// A key that was never used.
    pub(super) fn key(&mut self) -> Key {
        self.keys = self.keys.wrapping_add(1);
        Key::from_parts([self.keys.to_le_bytes()])
    }

    /// A quota of the algorithm.
    pub(super) fn quota(&self, limit: u32, window: Duration) -> Quota {
        quota(self.algorithm, limit, window)
    }

    /// Asks, and fails with the sentence that is not kept if there is no answer.
    pub(super) async fn apply(&self, operation: Operation, charges: &[Charge<'_>]) -> Verdict {
        match self.try_apply(operation, charges).await {
            Ok(verdict) => verdict,
            Err(error) => broken(&format!("a store that is there answers {operation:?}: {error}")),
        }
    }

    pub(super) async fn try_apply(
        &self,
        operation: Operation,
        charges: &[Charge<'_>],
    ) -> Result<Verdict, StoreError> {
        let verdict = self.store.apply(operation, charges).get().await?;
        if verdict.levels().len() != charges.len() || verdict.receipts().len() != charges.len() {
            broken("an answer has a level and a receipt for each charge");
        }
        Ok(verdict)
    }

    /// Asks and does not listen. Whether the answer would have come later.
    pub(super) fn drop_unpolled(&self, operation: Operation, charges: &[Charge<'_>]) -> bool {
        matches!(self.store.apply(operation, charges), Answer::Later(_))
    }

    /// One unit or several of one bucket.
    pub(super) async fn check(&self, charge: Charge<'_>) -> One {
        One::of(&self.apply(Operation::Check, &[charge]).await)
    }

    pub(super) async fn peek(&self, charge: Charge<'_>) -> One {
        One::of(&self.apply(Operation::Peek, &[charge]).await)
    }
}

pub(super) fn quota(algorithm: Algorithm, limit: u32, window: Duration) -> Quota {
    let quota = Quota::new(limit, window).map(|quota| quota.with_algorithm(algorithm));
    match quota {
        Ok(Ok(quota)) => quota,
        Ok(Err(error)) | Err(error) => broken(&error.to_string()),
    }
}

/// A charge of so many units of a key.
pub(super) fn charge(key: &Key, quota: Quota, cost: u32) -> Charge<'_> {
    Charge::new(Bucket::new("conformance", 0, key), quota, cost)
}

/// The answer for one bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct One {
    pub(super) allowed: bool,
    pub(super) level: Level,
    pub(super) receipt: Receipt,
}

impl One {
    pub(super) fn of(verdict: &Verdict) -> Self {
        match (verdict.levels().next(), verdict.receipts().next()) {
            (Some(level), Some(receipt)) => Self { allowed: verdict.is_allowed(), level, receipt },
            _ => broken("an answer has a level and a receipt for each charge"),
        }
    }

    /// How long a denied request has to wait.
    #[track_caller]
    pub(super) fn wait(&self) -> Duration {
        match self.level.retry_after {
            Some(wait) if !self.allowed && !wait.is_zero() => wait,
            _ => broken("a denial of what may be admitted later says when"),
        }
    }
}

/// That this sentence of the contract is kept.
#[track_caller]
pub(super) fn kept(is_kept: bool, sentence: &str) {
    if !is_kept {
        broken(sentence);
    }
}

#[track_caller]
#[allow(clippy::panic, reason = "it is a test that fails")]
pub(super) fn broken(sentence: &str) -> ! {
    panic!("the store breaks its contract: {sentence}")
}
