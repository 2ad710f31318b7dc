//! Checks in memory: limiters, and nanoseconds of CPU time for each check.

use std::{hint::black_box, thread, time::Duration};

use cpu_time::ThreadTime;
use rateguard::{
    Algorithm, Key, MemoryStore, Quota,
    store::{Answer, Bucket, Charge, Operation, Store},
};

use crate::Outcome;

/// Keys are first seen in this order, and then asked for in that of their numbers, so that what was made one after the
/// other is not read so. It has no factor in common with powers of ten.
const STRIDE: u64 = 61_813;
/// The least room of a store: its keys spread over shards, of which each has a bound of its own.
const ROOM: u32 = 200_000;

/// A limiter, made anew for each measurement. It is told the number of a key, and says whether it is admitted.
pub type Limiter = Box<dyn Fn(u32) -> bool + Sync>;

/// What is asked of a limiter, and what comes of it.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many keys.
    pub keys: u32,
    /// At most so many of a key in a window so long.
    pub limit: (u32, Duration),
    /// Whether they are admitted.
    pub is_allowed: bool,
}

impl Load {
    /// Nanoseconds of CPU time for each of so many checks by each of so many threads. All keys were seen before.
    ///
    /// # Errors
    ///
    /// If an answer was not as expected.
    pub fn measure(self, limiter: &Limiter, threads: u32, checks: u32) -> Outcome<f64> {
        for number in 0..self.keys {
            limiter((u64::from(number) * STRIDE % u64::from(self.keys)) as u32);
        }
        let run = |thread: u32| -> Result<Duration, String> {
            let (start, first) = (ThreadTime::now(), thread * (self.keys / threads));
            for number in 0..checks {
                if limiter(black_box((first + number) % self.keys)) != self.is_allowed {
                    return Err(format!("check {number} of {self:?} had another answer"));
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

    /// The limit, by this algorithm.
    ///
    /// # Errors
    ///
    /// If the algorithm cannot keep it.
    pub fn quota(self, algorithm: Algorithm) -> Outcome<Quota> {
        let (limit, window) = self.limit;
        Ok(Quota::new(limit, window)?.with_algorithm(algorithm)?)
    }

    /// The keys, made beforehand.
    #[must_use]
    pub fn ready(self) -> Vec<Key> {
        (0..self.keys).map(|key| Key::from(u64::from(key))).collect()
    }

    /// A store with room for all keys.
    #[must_use]
    pub fn memory(self) -> MemoryStore {
        MemoryStore::new().max_keys(self.keys.saturating_mul(2).max(ROOM) as usize)
    }

    /// RateGuard's store, with keys at hand and no guard before it.
    ///
    /// # Errors
    ///
    /// If the algorithm cannot keep the limit.
    pub fn store(self, algorithm: Algorithm) -> Outcome<Limiter> {
        let (store, quota, keys) = (self.memory(), self.quota(algorithm)?, self.ready());
        Ok(Box::new(move |key| {
            let bucket = Bucket::new("bench", 0, &keys[key as usize]);
            match store.apply(Operation::Check, &[Charge::new(bucket, quota, 1)]) {
                Answer::Now(Ok(verdict)) => verdict.is_allowed(),
                _ => false,
            }
        }))
    }
}
