//! Checks in memory: measures the CPU time of a limiter per check.

use std::{hint::black_box, thread, time::Duration};

use actix_rateguard::{
    Algorithm, Key, MemoryStore, Quota,
    store::{Bucket, BucketRequest, Operation, Store, StoreFuture},
};
use cpu_time::ThreadTime;

use crate::BenchResult;

/// Keys are first used in steps of this, and then in the order of their numbers, so that their buckets are not in the
/// order of their allocation. The step has no common factor with powers of ten.
const STRIDE: u64 = 61_813;
/// The minimum capacity of a store. The keys are distributed over shards, each of which has its own maximum.
const MIN_CAPACITY: u32 = 200_000;

/// A limiter. Its argument is the number of a key, and its result is whether the check is admitted.
pub type Limiter = Box<dyn Fn(u32) -> bool + Sync>;

/// The parameters of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLoad {
    /// The number of keys.
    pub keys: u32,
    /// The limit of each key, and its window.
    pub limit: (u32, Duration),
    /// Whether the checks are expected to be admitted.
    pub is_allowed: bool,
}

impl MemoryLoad {
    /// The CPU time in nanoseconds per check, of `checks` checks in each thread. All keys are used once before.
    ///
    /// # Errors
    ///
    /// If a result was not as expected.
    pub fn measure(self, limiter: &Limiter, threads: u32, checks: u32) -> BenchResult<f64> {
        for number in 0..self.keys {
            limiter((u64::from(number) * STRIDE % u64::from(self.keys)) as u32);
        }
        let run = |thread: u32| -> Result<Duration, String> {
            let (start, first) = (ThreadTime::now(), thread * (self.keys / threads));
            for number in 0..checks {
                if limiter(black_box((first + number) % self.keys)) != self.is_allowed {
                    return Err(format!("check {number} of {self:?} had an unexpected result"));
                }
            }
            Ok(start.elapsed())
        };
        let run = &run;
        let times: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|it| scope.spawn(move || run(it))).collect();
            threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        let mut all = Duration::ZERO;
        for time in times {
            all += time.map_err(|_| "a thread panicked")??;
        }
        Ok(all.as_nanos() as f64 / f64::from(checks) / f64::from(threads))
    }

    /// The quota with this algorithm.
    ///
    /// # Errors
    ///
    /// If the algorithm does not support the limit.
    pub fn quota(self, algorithm: Algorithm) -> BenchResult<Quota> {
        let (limit, window) = self.limit;
        Ok(Quota::new(limit, window)?.with_algorithm(algorithm)?)
    }

    /// The keys.
    #[must_use]
    pub fn keys(self) -> Vec<Key> {
        (0..self.keys).map(|key| Key::from(u64::from(key))).collect()
    }

    /// A store with capacity for all keys.
    #[must_use]
    pub fn memory(self) -> MemoryStore {
        MemoryStore::new().max_keys(self.keys.saturating_mul(2).max(MIN_CAPACITY) as usize)
    }

    /// A limiter that calls RateGuard's memory store directly, without a guard. The keys are created before the
    /// measurement.
    ///
    /// # Errors
    ///
    /// If the algorithm does not support the limit.
    pub fn store(self, algorithm: Algorithm) -> BenchResult<Limiter> {
        let (store, quota, keys) = (self.memory(), self.quota(algorithm)?, self.keys());
        Ok(Box::new(move |key| {
            let bucket = Bucket::new("bench", 0, &keys[key as usize]);
            match store.apply(Operation::Check, &[BucketRequest::new(bucket, quota, 1)]) {
                StoreFuture::Ready(Ok(verdict)) => verdict.is_allowed(),
                _ => false,
            }
        }))
    }
}
