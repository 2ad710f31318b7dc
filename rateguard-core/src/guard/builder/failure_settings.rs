//! The settings of a builder for stores that can fail or take time.

use std::time::Duration;

use super::{FallibleStoreConfig, RateGuardBuilder};
use crate::OnError;

/// Settings for a store that can fail or take time: Redis, Upstash, or a store of your own.
impl<S: FallibleStoreConfig> RateGuardBuilder<S> {
    /// Sets the maximum duration of a check, from 1 ms to 60 s. [`build`](Self::build) returns an error for other
    /// values. Default: 100 ms. This is about a hundred times the response time of a nearby Redis server, and too short
    /// for a user to notice.
    ///
    /// If a policy with a [ban](crate::Policy::ban) denies a request, the guard takes up to one deadline more to count
    /// the offence.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// Sets the failure mode for policies that do not set one. The failure mode decides on requests when the store does
    /// not answer. Default: [`OnError::Open`].
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.settings.on_error = on_error;
        self
    }

    /// Rejects requests once the store has been down for longer than `grace`, whatever the failure mode is. The store
    /// is down from the first failed check after the last successful check. Default: never. Zero rejects requests as
    /// soon as a check fails; every duration is valid.
    ///
    /// If a check fails because of load, such as with [`StoreError::Overloaded`](crate::StoreError::Overloaded), the
    /// guard still decides in memory after this time.
    pub fn fail_closed_after(mut self, grace: Duration) -> Self {
        self.settings.fail_closed_after = Some(grace);
        self
    }

    /// Sets how many checks may wait for the store at the same time, from 1 to 4,294,967,295. [`build`](Self::build)
    /// returns an error for other values. Default: 4,096. The waiting checks then use a few megabytes of memory at
    /// most.
    ///
    /// The guard decides further checks in memory, with the cause
    /// [`StoreError::Overloaded`](crate::StoreError::Overloaded).
    pub fn max_in_flight(mut self, checks: usize) -> Self {
        self.settings.max_in_flight = checks;
        self
    }

    /// Sets how long this process caches a denial, to deny the same check again without a store call. A cached denial
    /// expires earlier if the bucket may have room earlier. Every duration is valid, and zero disables the cache.
    /// Default: 250 ms on Redis and Upstash, and zero with a [`store`](RateGuardBuilder::store) of your own. With 250
    /// ms, a client that repeats a denied check causes four store calls a second.
    ///
    /// - The durations in a cached denial, such as the time until a retry, decrease with time.
    /// - When this guard refunds, resets or debits a bucket, it removes the cached denials of the bucket immediately. A
    ///   check with another quota or another cost does not use a cached denial.
    /// - The guard notices other changes when the cached denial expires: a refund or reset by another process, a loss
    ///   of data in the store, and a jump of the store's clock.
    /// - The guard does not cache denials of checks of several keys. If the policy has a [ban](crate::Policy::ban), the
    ///   store counts an offence for a cached denial, too.
    /// - The guard also uses cached denials while the store is down.
    ///
    /// The cache holds up to 57,344 denials, and then takes about 10 MB if each policy has one quota. A full cache
    /// accepts no further denials.
    pub fn denial_cache_ttl(mut self, max: Duration) -> Self {
        self.settings.denial_cache_ttl = Some(max);
        self
    }

    /// Sets how many processes share the store. If a process decides in its own memory, it divides each limit by this
    /// number, and rounds the limit down, to at least 1. [`build`](Self::build) returns an error for zero. The default
    /// is one process.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.settings.replicas = replicas;
        self
    }
}
