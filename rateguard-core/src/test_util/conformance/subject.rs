//! Wraps the store that the conformance suite tests, and the replies of this store.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use super::time::Time;
use crate::{
    Algorithm, Key, Quota, StoreError,
    store::{Bucket, BucketRequest, BucketStatus, Operation, Receipt, Store, StoreFuture, Verdict},
};

pub(super) struct Subject<'a> {
    store: &'a dyn Store,
    pub(super) time: Time,
    pub(super) algorithm: Algorithm,
    last_key: u64,
}

impl<'a> Subject<'a> {
    pub(super) fn new(store: &'a dyn Store, time: Time, algorithm: Algorithm) -> Self {
        Self { store, time, algorithm, last_key: RandomState::new().hash_one("keys") }
    }

    /// Returns a key that the suite has not used before.
    pub(super) fn key(&mut self) -> Key {
        self.last_key = self.last_key.wrapping_add(1);
        Key::from_parts([self.last_key.to_le_bytes()])
    }

    /// Returns a quota with the algorithm that the suite tests.
    pub(super) fn quota(&self, limit: u32, window: Duration) -> Quota {
        quota(self.algorithm, limit, window)
    }

    /// Applies an operation to the store. Panics if the store returns an error.
    pub(super) async fn apply(
        &self,
        operation: Operation,
        requests: &[BucketRequest<'_>],
    ) -> Verdict {
        match self.try_apply(operation, requests).await {
            Ok(verdict) => verdict,
            Err(error) => {
                fail(&format!("expected a reply of the store to {operation:?}, found: {error}"))
            }
        }
    }

    pub(super) async fn try_apply(
        &self,
        operation: Operation,
        requests: &[BucketRequest<'_>],
    ) -> Result<Verdict, StoreError> {
        let verdict = self.store.apply(operation, requests).get().await?;
        if verdict.statuses().len() != requests.len() || verdict.receipts().len() != requests.len()
        {
            fail("a reply has a status and a receipt for each bucket request");
        }
        Ok(verdict)
    }

    /// Creates an operation and drops it before it is polled. Returns `false` if the store had already completed the
    /// operation without a poll.
    pub(super) fn drop_unpolled(
        &self,
        operation: Operation,
        requests: &[BucketRequest<'_>],
    ) -> bool {
        matches!(self.store.apply(operation, requests), StoreFuture::Pending(_))
    }

    /// Applies a check of one bucket to the store. The check takes the units if the bucket has room.
    pub(super) async fn check(&self, request: BucketRequest<'_>) -> BucketReply {
        BucketReply::of(&self.apply(Operation::Check, &[request]).await)
    }

    /// Reads the status of the bucket of one request, without taking units.
    pub(super) async fn peek(&self, request: BucketRequest<'_>) -> BucketReply {
        BucketReply::of(&self.apply(Operation::Peek, &[request]).await)
    }
}

pub(super) fn quota(algorithm: Algorithm, limit: u32, window: Duration) -> Quota {
    let quota = Quota::new(limit, window).map(|quota| quota.with_algorithm(algorithm));
    match quota {
        Ok(Ok(quota)) => quota,
        Ok(Err(error)) | Err(error) => fail(&error.to_string()),
    }
}

/// Returns a request for `cost` units from the bucket of a key.
pub(super) fn request(key: &Key, quota: Quota, cost: u32) -> BucketRequest<'_> {
    BucketRequest::new(Bucket::new("conformance", 0, key), quota, cost)
}

/// The store's reply to a request for one bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct BucketReply {
    pub(super) allowed: bool,
    pub(super) status: BucketStatus,
    pub(super) receipt: Receipt,
}

impl BucketReply {
    pub(super) fn of(verdict: &Verdict) -> Self {
        match (verdict.statuses().next(), verdict.receipts().next()) {
            (Some(status), Some(receipt)) => {
                Self { allowed: verdict.is_allowed(), status, receipt }
            }
            _ => fail("a reply has a status and a receipt for each bucket request"),
        }
    }

    /// Returns the time until the same check is admitted. Panics if the check was not denied, or if the time is
    /// missing or zero.
    #[track_caller]
    pub(super) fn retry_after(&self) -> Duration {
        match self.status.retry_after {
            Some(wait) if !self.allowed && !wait.is_zero() => wait,
            _ => fail("a denial of a cost within the capacity has a `retry_after` above zero"),
        }
    }
}

/// Panics with the message `rule` if the store does not satisfy this rule of the contract.
#[track_caller]
pub(super) fn require(is_satisfied: bool, rule: &str) {
    if !is_satisfied {
        fail(rule);
    }
}

#[track_caller]
#[allow(clippy::panic, reason = "a panic is the documented result of a violation")]
pub(super) fn fail(rule: &str) -> ! {
    panic!("the store violates its contract: {rule}")
}
