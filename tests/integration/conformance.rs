//! Tests the public conformance suite for stores. The built-in stores and a correct custom store must pass the suite,
//! and stores with a defect must fail it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
    time::Duration,
};

use actix_rateguard::{
    Algorithm, Clock, MemoryStore, Quota, StoreError,
    store::{BucketRequest, BucketStatus, Operation, Receipt, Store, StoreFuture, Verdict},
    test_util::{ManualClock, Time, conformance},
};

use crate::support::redis_server::RedisServer;

fn algorithms() -> [Algorithm; Algorithm::NAMES.len()] {
    Algorithm::NAMES.map(|(algorithm, _)| algorithm)
}

fn memory() -> (MemoryStore, Time) {
    let clock = ManualClock::new();
    (MemoryStore::new().clock(clock.clone()), Time::Manual(clock))
}

#[tokio::test]
async fn memory_store_conforms_with_manual_clock() {
    let (store, time) = memory();
    conformance(&store, time, &algorithms()).await;
}

#[tokio::test]
async fn memory_store_conforms_with_system_clock() {
    conformance(&MemoryStore::new(), Time::Real, &algorithms()).await;
}

#[tokio::test]
async fn redis_store_conforms() {
    let server = RedisServer::start();
    let guard = server.guard("conformance");
    conformance(guard.store(), Time::Real, &algorithms()).await;
}

#[tokio::test]
async fn built_in_stores_conform_with_permits() {
    let server = RedisServer::start();
    let guard = server.guard("permits");
    let (store, time) = memory();
    conformance(&store, time, &[Algorithm::Concurrency]).await;
    conformance(&MemoryStore::new(), Time::Real, &[Algorithm::Concurrency]).await;
    conformance(guard.store(), Time::Real, &[Algorithm::Concurrency]).await;
}

#[tokio::test]
async fn built_in_stores_conform_with_calendar_periods() {
    let server = RedisServer::start();
    let guard = server.guard("calendar");
    let (store, time) = memory();
    conformance(&store, time, &[Algorithm::Calendar]).await;
    conformance(&MemoryStore::new(), Time::Real, &[Algorithm::Calendar]).await;
    conformance(guard.store(), Time::Real, &[Algorithm::Calendar]).await;
}

/// The number of units that each call took, sorted by the time and the number of the call.
type AdmittedUnits = BTreeMap<(Duration, u64), u32>;

/// A simple custom store. For each bucket, it stores a log of the admitted units. One lock protects all logs.
struct LogStore {
    clock: ManualClock,
    admitted: Mutex<HashMap<String, AdmittedUnits>>,
    calls: Mutex<u64>,
}

impl LogStore {
    fn apply_now(&self, operation: Operation, requests: &[BucketRequest<'_>]) -> Verdict {
        let mut logs = self.admitted.lock().unwrap();
        let now = self.clock.now();
        let call = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        let name = |request: &BucketRequest<'_>| request.bucket.storage_key("logs");
        for request in requests {
            let log = logs.entry(name(request)).or_default();
            if operation == Operation::Refund {
                let [at, taken_by, _] = request.receipt.words();
                if let Some(units) = log.get_mut(&(Duration::from_micros(at), taken_by)) {
                    *units -= request.cost.min(*units);
                }
            }
            if operation == Operation::Reset {
                log.clear();
            }
        }
        let status = |logs: &HashMap<String, BTreeMap<_, u32>>, request: &BucketRequest<'_>| {
            let live: Vec<(Duration, u32)> = logs[&name(request)]
                .iter()
                .map(|((at, _), units)| (*at, *units))
                .filter(|(at, units)| *at + request.quota.window() > now && *units > 0)
                .collect();
            let used: u32 = live.iter().map(|(_, units)| units).sum();
            let capacity = request.quota.capacity();
            let wait_for = |units: u32| {
                let mut used = used;
                let mut expiring = live.iter();
                let mut wait = Duration::ZERO;
                while used + units > capacity {
                    let (at, units) = expiring.next()?;
                    used -= units;
                    wait = *at + request.quota.window() - now;
                }
                Some(wait)
            };
            let remaining = capacity.saturating_sub(used);
            BucketStatus {
                remaining,
                reset_after: wait_for(remaining + 1).unwrap_or(Duration::ZERO),
                retry_after: if request.cost == 0 {
                    Some(Duration::ZERO)
                } else {
                    wait_for(request.cost)
                },
            }
        };
        let has_room = |request: &BucketRequest<'_>| {
            status(&logs, request).retry_after == Some(Duration::ZERO)
        };
        let allowed = match operation {
            Operation::Check | Operation::Peek => requests.iter().all(has_room),
            _ => true,
        };
        if operation == Operation::Check && allowed || operation == Operation::Debit {
            for request in requests {
                let log = logs.get_mut(&name(request)).unwrap();
                log.insert((now, call), request.taken());
            }
        }
        let receipt = Receipt::new([now.as_micros() as u64, call, 0]);
        Verdict::new(allowed, requests.iter().map(|request| (status(&logs, request), receipt)))
    }
}

impl Store for LogStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        StoreFuture::Ready(Ok(self.apply_now(operation, requests)))
    }
}

#[tokio::test]
async fn custom_log_store_conforms() {
    let clock = ManualClock::new();
    let store =
        LogStore { clock: clock.clone(), admitted: Mutex::default(), calls: Mutex::default() };
    conformance(&store, Time::Manual(clock), &[Algorithm::SlidingWindow]).await;
}

/// Applies an operation to the memory store, but with a defect.
type Defect = fn(&MemoryStore, Operation, &[BucketRequest<'_>]) -> Result<Verdict, StoreError>;

struct DefectiveStore(MemoryStore, Defect);

impl Store for DefectiveStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        StoreFuture::Ready((self.1)(&self.0, operation, requests))
    }
}

/// Applies an operation to the memory store and returns the result, which is ready immediately because this store
/// never waits.
fn apply_to_memory(
    store: &MemoryStore,
    operation: Operation,
    requests: &[BucketRequest<'_>],
) -> Verdict {
    match store.apply(operation, requests) {
        StoreFuture::Ready(Ok(verdict)) => verdict,
        other => panic!("{other:?}"),
    }
}

macro_rules! defects {
    ($($name:ident $message:literal: $defect:expr;)*) => {$(
        #[tokio::test]
        #[should_panic(expected = $message)]
        async fn $name() {
            let (store, time) = memory();
            conformance(&DefectiveStore(store, $defect), time, &algorithms()).await;
        }
    )*};
}

#[tokio::test]
#[should_panic(expected = "`retry_after` is the time until the period ends")]
async fn store_that_counts_calendar_periods_as_windows_fails() {
    let (store, time) = memory();
    let defect: Defect = |store, operation, requests| {
        let mut windows = requests.to_vec();
        for request in &mut windows {
            let quota = Quota::new(request.quota.limit(), request.quota.window()).unwrap();
            request.quota = quota.with_algorithm(Algorithm::FixedWindow).unwrap();
        }
        Ok(apply_to_memory(store, operation, &windows))
    };
    conformance(&DefectiveStore(store, defect), time, &[Algorithm::Calendar]).await;
}

macro_rules! permit_defects {
    ($($name:ident $message:literal: $defect:expr;)*) => {$(
        #[tokio::test]
        #[should_panic(expected = $message)]
        async fn $name() {
            let (store, time) = memory();
            conformance(&DefectiveStore(store, $defect), time, &[Algorithm::Concurrency]).await;
        }
    )*};
}

permit_defects! {
    store_that_renews_released_permits_fails "does not revive a permit that was released":
        |store, operation, requests| {
            let verdict = apply_to_memory(store, operation, requests);
            Ok(Verdict::new(true, verdict.statuses().zip(verdict.receipts())))
                .map(|it| if operation == Operation::Renew { it } else { verdict })
        };
    store_that_ignores_renewals_fails "a renewal starts a new lease":
        |store, operation, requests| {
            let verdict = apply_to_memory(store, operation, requests);
            if operation == Operation::Renew && verdict.is_allowed() {
                let peek = apply_to_memory(store, Operation::Peek, requests);
                apply_to_memory(store, Operation::Refund, requests);
                return Ok(Verdict::new(true, peek.statuses().zip(peek.receipts())));
            }
            Ok(verdict)
        };
    store_whose_permits_never_expire_fails "a permit expires after its lease":
        |store, operation, requests| {
            let mut requests = requests.to_vec();
            requests.iter_mut().for_each(|request| request.without_lease = true);
            Ok(apply_to_memory(store, operation, &requests))
        };
    store_that_releases_any_permit_fails "only once":
        |store, operation, requests| {
            let reset = operation == Operation::Refund;
            Ok(apply_to_memory(store, if reset { Operation::Reset } else { operation }, requests))
        };
}

defects! {
    store_that_always_admits_fails "a check is denied when the limit is used up":
        |store, operation, requests| {
            let verdict = apply_to_memory(store, operation, requests);
            Ok(Verdict::new(true, verdict.statuses().zip(verdict.receipts())))
        };
    store_whose_peek_counts_units_fails "a peek takes no units":
        |store, operation, requests| {
            let operation = if operation == Operation::Peek { Operation::Check } else { operation };
            Ok(apply_to_memory(store, operation, requests))
        };
    store_that_ignores_cost_fails "a peek returns the decision of a check":
        |store, operation, requests| {
            let mut requests = requests.to_vec();
            requests.iter_mut().for_each(|request| request.cost = request.cost.min(1));
            Ok(apply_to_memory(store, operation, &requests))
        };
    store_whose_denial_counts_units_fails "a denied check takes no units from buckets with room":
        |store, operation, requests| {
            let verdicts: Vec<_> =
                requests.iter().map(|request| apply_to_memory(store, operation, &[*request])).collect();
            let statuses = verdicts.iter().flat_map(|it| it.statuses().zip(it.receipts()));
            Ok(Verdict::new(verdicts.iter().all(Verdict::is_allowed), statuses))
        };
    store_that_counts_check_only_buckets_fails "a check takes no units from a check-only bucket":
        |store, operation, requests| {
            let mut requests = requests.to_vec();
            requests.iter_mut().for_each(|request| request.check_only = false);
            Ok(apply_to_memory(store, operation, &requests))
        };
    store_with_too_short_retry_after_fails "a check 1 µs before the end of `retry_after` is denied":
        |store, operation, requests| {
            let verdict = apply_to_memory(store, operation, requests);
            let halve_wait = |status: BucketStatus| BucketStatus {
                retry_after: status.retry_after.map(|wait| wait / 2),
                ..status
            };
            Ok(Verdict::new(verdict.is_allowed(), verdict.statuses().map(halve_wait).zip(verdict.receipts())))
        };
    store_that_ignores_refunds_fails "a refund returns the requested units":
        |store, operation, requests| {
            let operation = if operation == Operation::Refund { Operation::Peek } else { operation };
            Ok(apply_to_memory(store, operation, requests))
        };
    store_that_refunds_units_of_other_checks_fails "a refund returns no expired units":
        |store, operation, requests| {
            let is_small = requests[0].quota.limit() == 2;
            let operation = match operation {
                Operation::Refund if is_small => Operation::Reset,
                other => other,
            };
            Ok(apply_to_memory(store, operation, requests))
        };
    store_that_denies_a_debit_fails "a debit takes its cost even if the bucket has no room":
        |store, operation, requests| {
            let operation = if operation == Operation::Debit { Operation::Check } else { operation };
            Ok(apply_to_memory(store, operation, requests))
        };
    store_that_ignores_resets_fails "a reset clears the count":
        |store, operation, requests| {
            let operation = if operation == Operation::Reset { Operation::Peek } else { operation };
            Ok(apply_to_memory(store, operation, requests))
        };
    store_that_is_unreachable_fails "expected a reply of the store":
        |_, _, _| Err(StoreError::Unreachable(None));
}
