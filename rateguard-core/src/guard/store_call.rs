//! Calls the store. The guard first uses the denial cache, then the circuit breaker, and then the concurrency limit. It
//! then waits for the store until the deadline. If a store replies immediately, only the denial cache is used. If the
//! call fails, this module determines which failure mode applies.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use super::{
    RateGuard, Shared, Unavailable,
    breaker::BreakerPermit,
    concurrency_limit::Permit,
    denial_cache::{CacheLookup, Invalidation, PendingInsert, have_several_keys},
    multi_key::one_after_the_other,
    server_state::ServerState,
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
        let result = match self.cached_denial(operation, requests) {
            Ok(CacheLookup::Hit(denial)) => Ok(denial),
            Ok(CacheLookup::Miss(pending_insert)) => {
                let deadline = self.shared.deadline;
                let result = match operation {
                    // The future is boxed, because it is large and debits are rare.
                    Operation::Debit => Box::pin(self.debit(requests)).await,
                    _ => self.run_operation(operation, requests, deadline).await,
                };
                insert_denial(pending_insert, &result);
                result
            }
            Err(cause) => Err(cause),
        };
        self.with_failure_mode(operation, requests, result, on_error)
    }

    /// Looks into the denial cache, unless the guard is closed.
    pub(super) fn cached_denial<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> Result<CacheLookup<'a>, StoreError> {
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        Ok(match self.shared.denial_cache.lookup(operation, requests) {
            CacheLookup::Hit(denial) => CacheLookup::Hit(denial.by(DecisionMode::DenialCache)),
            miss => miss,
        })
    }

    /// Returns the result of an operation. If the store has failed, the error contains the failure mode that applies.
    pub(super) fn with_failure_mode(
        &self,
        operation: Operation,
        requests: &[BucketRequest<'_>],
        result: Result<Verdict, StoreError>,
        on_error: impl Fn() -> OnError,
    ) -> Result<Verdict, Unavailable> {
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
        let Shared { failures, store, .. } = &*self.shared;
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

    /// Calls the store once. This method never returns a cached denial, and returns a store error without applying the
    /// failure mode.
    pub(super) async fn call_store(
        &self,
        traffic: Traffic,
        operation: Operation,
        requests: &[BucketRequest<'_>],
        deadline: Duration,
    ) -> Result<Verdict, StoreError> {
        let (call, reply) = self.start_call(traffic, operation, requests, deadline)?;
        let reply = match reply {
            StoreFuture::Ready(reply) => reply,
            StoreFuture::Pending(reply) => {
                let reply = within_deadline(&*self.shared.store, deadline, requests, reply);
                match traffic {
                    Traffic::Enforced => self.timed(operation, reply).await,
                    Traffic::Shadow => reply.await,
                }
            }
        };
        call.end(reply)
    }

    /// Starts a call to the store: acquires the permits of the circuit breaker and of the concurrency limit. Returns the
    /// future of the reply, which the caller must await within the deadline.
    fn start_call<'a>(
        &'a self,
        traffic: Traffic,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
        deadline: Duration,
    ) -> Result<(StoreCall<'a>, StoreFuture<'a>), StoreError> {
        let Shared { store, servers, denial_cache, deadline: full, .. } = &*self.shared;
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        let invalidation = denial_cache.invalidation(operation, requests);
        let number = store.server(requests);
        let server = traffic.servers(&self.shared).of(number);
        let reply = store.apply_with_deadline(deadline, operation, requests);
        let mut permits = None;
        if let StoreFuture::Pending(_) = reply {
            if traffic == Traffic::Shadow
                && let Some(cause) = servers.of(number).breaker.open_cause()
            {
                return Err(cause);
            }
            let breaker_permit = server.breaker.try_acquire(*full)?;
            permits = Some((breaker_permit, traffic.in_flight(&self.shared).try_acquire()?));
            // The guard may have been closed after `is_closed` was first called, so `is_closed` is called again after
            // the permit was acquired. `close` first marks the guard as closed and then waits until all permits of
            // enforced checks are returned. So no enforced store call starts after `close` has returned.
            if self.is_closed() {
                return Err(StoreError::Closed);
            }
        }
        // If less than half of the guard's deadline is left for this call, even a healthy server may reply too late.
        let is_short = deadline < *full / 2;
        Ok((StoreCall { requests, invalidation, server, permits, is_short }, reply))
    }
}

/// A call of the store in progress.
struct StoreCall<'a> {
    requests: &'a [BucketRequest<'a>],
    /// If the call is dropped without a reply, `invalidation` is dropped without a result. Unless the operation is a
    /// check, the drop removes the cached denials of these buckets, because the store may have applied the operation.
    invalidation: Option<Invalidation<'a>>,
    server: &'a ServerState,
    permits: Option<(BreakerPermit<'a>, Permit<'a>)>,
    is_short: bool,
}

impl StoreCall<'_> {
    /// Records the reply. Returns an error if the reply is malformed.
    fn end(self, reply: Result<Verdict, StoreError>) -> Result<Verdict, StoreError> {
        if let Some((breaker_permit, _)) = self.permits {
            match &reply {
                // These errors are not failures of the server, so the breaker ignores them.
                Err(StoreError::Overloaded | StoreError::PausedClock) => {}
                Err(StoreError::Timeout) if self.is_short => {}
                reply => breaker_permit.record(reply),
            }
        }
        let reply = reply.and_then(|verdict| validate(verdict, self.requests));
        if let Some(invalidation) = self.invalidation {
            invalidation.record(&reply);
        }
        self.server.record_reply(&reply);
        reply
    }
}

/// Stores the result of a check in the denial cache if the result is a denial.
pub(super) fn insert_denial(
    pending_insert: Option<PendingInsert<'_>>,
    result: &Result<Verdict, StoreError>,
) {
    if let (Some(pending_insert), Ok(verdict)) = (pending_insert, result) {
        pending_insert.insert(verdict);
    }
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
