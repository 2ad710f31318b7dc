//! The store of an application server in a storm, which is a test that injects random faults.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use actix_rateguard::{
    RateGuard, StoreError,
    store::{BucketRequest, Operation, Store, StoreFuture, Verdict},
};

use super::{
    defect::Defect,
    history::{Bucket, Part, Record, StoreCall, StoreReply},
    limits::{LIMITS, policy_index},
    now,
    server_log::{ServerLog, current_request, match_request},
};

/// A Redis store that records its calls.
pub struct RecordingStore {
    /// The guard whose store is called.
    pub redis: RateGuard,
    /// The history.
    pub log: Arc<ServerLog>,
    /// The mistake that the server makes.
    pub defect: Defect,
}

impl Store for RecordingStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        bucket_requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        let future = match self.defect.reply(operation, bucket_requests) {
            Some(reply) => StoreFuture::Ready(Ok(reply)),
            None => self.redis.store().apply(self.defect.operation(operation), bucket_requests),
        };
        self.record(operation, bucket_requests, future)
    }

    fn apply_with_deadline<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        bucket_requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        let sent = self.defect.operation(operation);
        let future = match self.defect.reply(operation, bucket_requests) {
            Some(reply) => StoreFuture::Ready(Ok(reply)),
            None => self.redis.store().apply_with_deadline(deadline, sent, bucket_requests),
        };
        self.record(operation, bucket_requests, future)
    }

    fn timeout_cause(&self, bucket_requests: &[BucketRequest<'_>]) -> StoreError {
        self.redis.store().timeout_cause(bucket_requests)
    }

    fn health(&self) -> Result<(), StoreError> {
        self.redis.store().health()
    }

    fn supports_leases(&self) -> bool {
        self.redis.store().supports_leases()
    }
}

impl RecordingStore {
    fn record<'a>(
        &'a self,
        operation: Operation,
        bucket_requests: &'a [BucketRequest<'a>],
        future: StoreFuture<'a>,
    ) -> StoreFuture<'a> {
        StoreFuture::Pending(Box::pin(async move {
            // Some calls only count offences, or begin or end bans. The judge does not check these calls separately,
            // so the server does not record them.
            if !bucket_requests.iter().any(|bucket_request| policy(bucket_request).is_some()) {
                return future.get().await;
            }
            let mut pending = PendingCall::begin(self, operation, bucket_requests);
            let result = future.get().await;
            match &result {
                Ok(verdict) => pending.set_reply(verdict),
                Err(error) => pending.error = Some(*error),
            }
            result
        }))
    }
}

/// A store call that has no reply yet. When this value is dropped, the call is recorded, so cancelled calls are
/// recorded too.
struct PendingCall<'a> {
    store: &'a RecordingStore,
    bucket_requests: &'a [BucketRequest<'a>],
    error: Option<StoreError>,
    call: StoreCall,
}

impl<'a> PendingCall<'a> {
    fn begin(
        store: &'a RecordingStore,
        operation: Operation,
        bucket_requests: &'a [BucketRequest<'a>],
    ) -> Self {
        let part = |bucket_request: &BucketRequest<'_>| Part {
            bucket: Bucket {
                policy: policy(bucket_request).unwrap_or(LIMITS.len()),
                quota_index: bucket_request.bucket.index(),
                key: u128::from_be_bytes(bucket_request.bucket.digest()),
            },
            cost: match operation {
                Operation::Return => {
                    bucket_request.uses.iter().filter(|at| **at > 0).count() as u32
                }
                _ => bucket_request.cost,
            },
            reset_after: 0,
            refund_of: receipt_id(bucket_request.receipt.words()),
        };
        let scoped = current_request();
        let first = bucket_requests.first().filter(|_| operation == Operation::Check);
        let matched = || {
            let bucket = first?.bucket;
            match_request(bucket.name(), u128::from_be_bytes(bucket.digest()))
        };
        let call = StoreCall {
            request: scoped.or_else(matched).unwrap_or(0),
            operation,
            began: now(),
            ended: 0,
            reply: None,
            error: String::new(),
            parts: bucket_requests
                .iter()
                .filter(|bucket_request| !bucket_request.check_only)
                .map(part)
                .collect(),
        };
        // A server that is killed records no end of this call, but the store may have executed it.
        let started = StoreCall { ended: call.began, error: "Started".to_owned(), ..call.clone() };
        store.log.write(&Record::Started(started));
        Self { store, bucket_requests, error: None, call }
    }

    fn set_reply(&mut self, verdict: &Verdict) {
        self.store.log.store_replies.fetch_add(1, Relaxed);
        let words = verdict.receipts().next().map(|receipt| receipt.words()).unwrap_or_default();
        let [.., at] = words;
        let is_allowed = verdict.is_allowed();
        let mut banned_for = 0;
        let mut parts = self.call.parts.iter_mut();
        for (bucket_request, level) in self.bucket_requests.iter().zip(verdict.statuses()) {
            if bucket_request.check_only {
                banned_for = level.retry_after.unwrap_or_default().as_micros() as u64;
            } else if let Some(part) = parts.next() {
                part.reset_after = level.reset_after.as_micros() as u64;
            }
        }
        let receipt = receipt_id(words);
        self.call.reply = Some(StoreReply { is_allowed, at, receipt, banned_for });
    }
}

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        self.call.ended = now();
        if self.call.reply.is_none() {
            let error =
                self.error.unwrap_or_else(|| self.store.timeout_cause(self.bucket_requests));
            self.call.error = format!("{error:?}");
        }
        self.store.log.write(&Record::StoreCall(self.call.clone()));
    }
}

fn policy(bucket_request: &BucketRequest<'_>) -> Option<usize> {
    policy_index(bucket_request.bucket.name())
}

fn receipt_id([process, number, _]: [u64; 3]) -> (u64, u64) {
    (process, number)
}
