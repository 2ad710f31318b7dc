//! Calls the store. The guard first uses the denial cache, then the circuit breaker, and then the limit of operations
//! in flight. It then waits for the store until the deadline. If a store replies immediately, only the denial cache is
//! used. If the call fails, this module determines which failure mode applies.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use super::{
    RateGuard, Shared, Unavailable,
    denial_cache::{CacheLookup, have_several_keys},
    multi_key::one_after_the_other,
    traffic::Traffic,
};
use crate::{
    OnError, StoreError,
    store::{BucketRequest, Operation, Store, StoreFuture, Verdict},
    telemetry::mode::DecisionMode,
};

impl RateGuard {
    /// Runs an operation within the deadline. If the denial cache has a denial of an equal check (the same buckets,
    /// quotas and costs), this denial is the result. Otherwise the store decides. A returned error contains the
    /// failure mode that applies.
    pub(super) async fn apply(
        &self,
        operation: Operation,
        requests: &[BucketRequest<'_>],
        on_error: impl Fn() -> OnError,
    ) -> Result<Verdict, Unavailable> {
        let call = async || match operation {
            // The future is boxed, because it is large and debits are rare.
            Operation::Debit => Box::pin(self.debit(requests)).await,
            _ => {
                if operation == Operation::Reset {
                    Box::pin(self.end_leases_for_reset(requests)).await?;
                }
                self.run_operation(operation, requests, self.shared.deadline).await
            }
        };
        let result = self.with_denial_cache(operation, requests, call).await;
        if let Err(cause) = &result
            && cause.is_caused_by_load()
            // While this check waited, the store may have denied an equal check. That denial is better than a failure
            // mode, so the guard looks into the cache again.
            && let CacheLookup::Hit(denial) = self.shared.denial_cache.lookup(operation, requests)
        {
            return Ok(denial.by(DecisionMode::DenialCache));
        }
        result.map_err(|cause| {
            if operation == Operation::Debit && cause.is_caused_by_load() {
                // The store has not counted the debit. The guard counts it in the memory of this process, so that the
                // decisions that the guard makes without the store include it.
                let _ = self.shared.local.mirror(requests);
            }
            let unavailable = self.unavailable(cause, on_error(), requests);
            // Only failed checks are recorded, because the other operations neither admit nor reject a request.
            if operation == Operation::Check {
                self.record_failure(&unavailable);
            }
            unavailable
        })
    }

    /// Returns the cached denial if the denial cache has a denial of an equal check. Otherwise runs the store call
    /// `call`, and caches the result if it is a denial.
    pub(super) async fn with_denial_cache(
        &self,
        operation: Operation,
        requests: &[BucketRequest<'_>],
        call: impl AsyncFnOnce() -> Result<Verdict, StoreError>,
    ) -> Result<Verdict, StoreError> {
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        let pending_insert = match self.shared.denial_cache.lookup(operation, requests) {
            CacheLookup::Hit(denial) => return Ok(denial.by(DecisionMode::DenialCache)),
            CacheLookup::Miss(pending_insert) => pending_insert,
        };
        let result = call().await;
        if let (Some(pending_insert), Ok(verdict)) = (pending_insert, &result) {
            pending_insert.insert(verdict);
        }
        result
    }

    /// Records a store error, and determines the failure mode that applies to the request.
    pub(super) fn unavailable(
        &self,
        cause: StoreError,
        on_error: OnError,
        requests: &[BucketRequest<'_>],
    ) -> Unavailable {
        let Shared { store, servers, fail_closed_after, .. } = &*self.shared;
        self.record_store_error(cause);
        if cause.is_caused_by_load() {
            // The configured failure mode does not apply, because clients can cause this error. They could otherwise
            // disable their own limits, or deny service to other clients.
            return Unavailable::new(cause, OnError::Local);
        }
        let down_for = requests.iter().filter_map(|request| {
            servers.of(store.server(std::slice::from_ref(request))).down_for()
        });
        let is_closed = fail_closed_after.is_some_and(|grace| down_for.max() >= Some(grace));
        Unavailable::new(cause, if is_closed { OnError::Closed } else { on_error })
    }

    /// Counts and logs a check that the store did not decide.
    pub(super) fn record_failure(&self, unavailable: &Unavailable) {
        let Shared { failures, store, statistics, .. } = &*self.shared;
        statistics.record_fallback(unavailable.on_error());
        failures.record(unavailable.cause(), unavailable.on_error(), store.keyspace());
    }

    /// Runs an operation in one store call. If the store cannot use all keys in one call, because the keys are in
    /// different cluster slots, the guard calls the store separately for each key.
    pub(super) async fn run_operation(
        &self,
        operation: Operation,
        requests: &[BucketRequest<'_>],
        deadline: Duration,
    ) -> Result<Verdict, StoreError> {
        let is_cross_slot = &self.shared.is_cross_slot;
        let has_several_keys = requests.len() > 1 && have_several_keys(requests);
        // Only requests with several keys may need further calls within the same deadline.
        let until = has_several_keys.then(|| Instant::now() + deadline);
        if !(has_several_keys && is_cross_slot.load(Relaxed)) {
            match self.call_store(Traffic::Enforced, operation, requests, deadline).await {
                Err(StoreError::CrossSlot) if has_several_keys => {
                    is_cross_slot.store(true, Relaxed)
                }
                result => return result,
            }
        }
        let left = until.map_or(deadline, |it| it.saturating_duration_since(Instant::now()));
        // The future is boxed, because it is large and checks of several keys are rare.
        Box::pin(one_after_the_other(self, operation, requests, left)).await
    }

    /// Runs an operation that ends permits or leases. It also runs after the guard was closed for its users, because `close`
    /// waits for these operations before it closes the store.
    pub(super) async fn run_final_operation(
        &self,
        operation: Operation,
        requests: &[BucketRequest<'_>],
    ) -> Result<(), StoreError> {
        let deadline = self.shared.deadline;
        let mut result = self.run_operation(operation, requests, deadline).await.map(drop);
        if result == Err(StoreError::Closed) {
            for request in requests {
                let requests = std::slice::from_ref(request);
                let reply = self.shared.store.apply_with_deadline(deadline, operation, requests);
                result = reply.get().await.map(drop);
            }
        }
        result
    }

    /// Calls the store once. This method never returns a cached denial, and returns a store error without applying the
    /// failure mode.
    pub(super) async fn call_store(
        &self,
        traffic: Traffic,
        operation: Operation,
        requests: &[BucketRequest<'_>],
        deadline: Duration,
    ) -> Result<Verdict, StoreError> {
        let Shared { store, servers, denial_cache, deadline: full, .. } = &*self.shared;
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        let invalidation = denial_cache.invalidation(operation, requests);
        let number = store.server(requests);
        let server = traffic.servers(&self.shared).of(number);
        let reply = match store.apply_with_deadline(deadline, operation, requests) {
            StoreFuture::Ready(reply) => reply,
            StoreFuture::Pending(reply) => {
                if traffic == Traffic::Shadow
                    && let Some(cause) = servers.of(number).breaker.open_cause()
                {
                    return Err(cause);
                }
                let breaker_permit = server.breaker.try_acquire(*full)?;
                let in_flight = traffic.in_flight(&self.shared);
                // A flood of checks must not make permits expire, or keep permits or the units of leases taken. The number
                // of these operations is bounded by the number of permits and of leases.
                let _in_flight = match continues_leases(operation, requests) {
                    true => in_flight.enter(),
                    false => in_flight.try_enter()?,
                };
                // The guard may have been closed after `is_closed` was first called, so `is_closed` is called again
                // after the call was counted. `close` first marks the guard as closed and then waits until no enforced
                // call is in flight. So no enforced store call starts after `close` has
                // returned.
                if self.is_closed() {
                    return Err(StoreError::Closed);
                }
                let reply = within_deadline(&**store, deadline, requests, reply);
                let reply = match traffic {
                    Traffic::Enforced => self.timed(operation, reply).await,
                    Traffic::Shadow => reply.await,
                };
                match &reply {
                    // These errors are not failures of the server, so the breaker ignores them.
                    Err(StoreError::Overloaded | StoreError::PausedClock) => {}
                    // If less than half of the guard's deadline was left for this call, even a healthy server may
                    // reply too late. So the breaker ignores this timeout.
                    Err(StoreError::Timeout) if deadline < *full / 2 => {}
                    reply => breaker_permit.record(reply),
                }
                reply
            }
        };
        let reply = reply.and_then(|verdict| validate(verdict, requests));
        // If this function returns early or its future is dropped, `invalidation` is dropped without a result. Unless
        // the operation is a check, the drop removes the cached denials of these buckets, because the store may have
        // applied the operation.
        if let Some(invalidation) = invalidation {
            invalidation.record(&reply);
        }
        server.record_reply(&reply);
        reply
    }
}

/// Returns true if the operation renews or releases permits, or returns the units of a lease.
fn continues_leases(operation: Operation, requests: &[BucketRequest<'_>]) -> bool {
    let has_permits = |request: &BucketRequest<'_>| request.quota.algorithm().has_permits();
    matches!(operation, Operation::Renew | Operation::Return)
        || operation == Operation::Refund && requests.iter().any(has_permits)
}

/// Waits for the reply of the store, but at most until the deadline.
async fn within_deadline(
    store: &dyn Store,
    deadline: Duration,
    requests: &[BucketRequest<'_>],
    reply: impl Future<Output = Result<Verdict, StoreError>>,
) -> Result<Verdict, StoreError> {
    if store.holds_deadline() {
        return reply.await;
    }
    let start = Instant::now();
    tokio::time::timeout(deadline, reply).await.unwrap_or_else(|_| {
        // A paused clock of tokio jumps to the deadline although no time has passed for the server.
        let is_early = store.keyspace().is_some() && start.elapsed() < deadline / 2;
        Err(if is_early { StoreError::PausedClock } else { store.timeout_cause(requests) })
    })
}

/// Returns an error if the reply does not have one status for each bucket request.
fn validate(verdict: Verdict, requests: &[BucketRequest<'_>]) -> Result<Verdict, StoreError> {
    let is_complete = verdict.statuses().len() == requests.len();
    if is_complete { Ok(verdict) } else { Err(StoreError::InvalidReply) }
}
