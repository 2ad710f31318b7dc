//! Store calls of shadow checks, which never delay or fail enforced checks.
//!
//! Shadow checks have a separate concurrency limit and separate circuit breakers. So shadow checks take no permits of
//! enforced checks, and a failed shadow check does not open a breaker of enforced checks. But an open breaker of
//! enforced checks also stops shadow checks, because the server does not answer.

use crate::{
    RateGuard, StoreError,
    guard::{Shared, denial_cache::CacheLookup, store_call::validate_reply},
    store::{BucketRequest, Operation, StoreFuture, Verdict},
};

impl RateGuard {
    /// Calls the store or the denial cache for buckets of one key. The call ends at the deadline.
    pub(super) async fn call_store_in_shadow(
        &self,
        operation: Operation,
        requests: &[BucketRequest<'_>],
    ) -> Result<Verdict, StoreError> {
        let Shared { store, servers, shadow, denial_cache, deadline, .. } = &*self.shared;
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        let pending_insert = match denial_cache.lookup(operation, requests) {
            CacheLookup::Hit(denial) => return Ok(denial),
            CacheLookup::Miss(pending_insert) => pending_insert,
        };
        let invalidation = denial_cache.invalidation(operation, requests);
        let server = store.server(requests);
        let reply = match store.apply_with_deadline(*deadline, operation, requests) {
            StoreFuture::Ready(reply) => validate_reply(reply, requests),
            StoreFuture::Pending(reply) => {
                if let Some(cause) = servers.of(server).breaker.open_cause() {
                    return Err(cause);
                }
                let breaker_permit = shadow.servers.of(server).breaker.try_acquire(*deadline)?;
                let _permit = shadow.in_flight.try_acquire()?;
                let reply = tokio::time::timeout(*deadline, reply).await;
                let reply = reply.unwrap_or_else(|_| Err(store.timeout_cause(requests)));
                // An overload of this process says nothing about the store, so the breaker ignores the failure.
                if reply != Err(StoreError::Overloaded) {
                    breaker_permit.record(&reply);
                }
                let reply = validate_reply(reply, requests);
                if let Some(invalidation) = invalidation {
                    invalidation.record(&reply);
                }
                reply
            }
        };
        if let (Some(pending_insert), Ok(verdict)) = (pending_insert, &reply) {
            pending_insert.insert(verdict);
        }
        reply
    }
}
