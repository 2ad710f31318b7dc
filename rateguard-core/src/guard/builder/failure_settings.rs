//! Builder settings for stores that can fail or be slow.

use std::time::Duration;

use super::{FallibleStoreConfig, RateGuardBuilder};
use crate::OnError;

/// Settings for a store that can fail or be slow: Redis, Upstash, or a store of your own.
//
// Each method has the bound, and not the `impl`, because the compiler then reports a missing bound with the message of
// the trait.
impl<S> RateGuardBuilder<S> {
    /// Sets the maximum duration of a check, from 1 ms to 60 s. [`build`](Self::build) returns an error for values
    /// outside this range. Default: 100 ms. A nearby Redis server replies in about 1 ms, and users do not notice a
    /// delay of 100 ms.
    ///
    /// If a policy with a [ban](crate::Policy::ban) denies a request, the guard also counts an offence. Counting the
    /// offence has its own deadline of the same length.
    pub fn deadline(mut self, deadline: Duration) -> Self
    where
        S: FallibleStoreConfig,
    {
        self.settings.deadline = deadline;
        self
    }

    /// Sets the failure mode, which decides on a request when the store does not answer. A policy can have its own
    /// failure mode. Default: [`OnError::Open`].
    pub fn on_error(mut self, on_error: OnError) -> Self
    where
        S: FallibleStoreConfig,
    {
        self.settings.on_error = on_error;
        self
    }

    /// Sets how long the failure mode stays in effect while the store is down. After the time `grace`, the guard
    /// rejects requests in every failure mode until the store answers again. The time starts with the first failed
    /// check after the last successful check. By default, the failure mode stays in effect as long as the store is
    /// down. With zero, the guard rejects requests as soon as a check fails. Every duration is a valid value for
    /// `grace`.
    ///
    /// If a check fails because of load (for example with [`StoreError::Overloaded`](crate::StoreError::Overloaded)),
    /// the guard decides in its memory even after the time `grace`.
    pub fn fail_closed_after(mut self, grace: Duration) -> Self
    where
        S: FallibleStoreConfig,
    {
        self.settings.fail_closed_after = Some(grace);
        self
    }

    /// Sets the maximum number of checks that wait for the store at the same time, from 1 to 4,294,967,295.
    /// [`build`](Self::build) returns an error for values outside this range. Default: 4,096. With the default, the
    /// waiting checks use at most a few megabytes of memory.
    ///
    /// While this number of checks is waiting, the guard decides further checks in this process's memory, and reports
    /// the cause [`StoreError::Overloaded`](crate::StoreError::Overloaded).
    pub fn max_in_flight(mut self, checks: usize) -> Self
    where
        S: FallibleStoreConfig,
    {
        self.settings.max_in_flight = checks;
        self
    }

    /// Sets how long this process caches a denial, to deny the same check again without a store call. A cached denial
    /// expires before this time if the bucket can have room sooner. Every duration is a valid value for `max`, and zero
    /// disables the cache. Default: 250 ms on Redis and Upstash, and zero with a [`store`](RateGuardBuilder::store) of
    /// your own. With 250 ms, a client that repeats a denied check causes about four store calls per second, if the
    /// policy has no ban.
    ///
    /// - The durations in a cached denial, such as the time until a retry, decrease with time.
    /// - When this guard refunds, resets or debits a bucket, it removes the cached denials of the bucket immediately.
    ///   A check only uses a cached denial with the same quotas and the same cost.
    /// - The guard notices some changes only when the cached denial expires: a refund or reset by another process, a
    ///   loss of data in the store, and a jump of the store's clock.
    /// - If the guard checks several keys together, it does not cache the denial.
    /// - If the policy has a [ban](crate::Policy::ban), each denial from the cache is an offence, like a denial by the
    ///   store. The guard counts each offence with a store call until the ban starts.
    /// - The guard also uses cached denials while the store is down.
    ///
    /// The cache holds up to 57,344 denials. A full cache needs about 10 MB if each policy has one quota, and accepts
    /// no further denials.
    pub fn denial_cache_ttl(mut self, max: Duration) -> Self
    where
        S: FallibleStoreConfig,
    {
        self.settings.denial_cache_ttl = Some(max);
        self
    }

    /// Sets how many processes share the store. A process that decides in its own memory divides each limit by the
    /// number of processes. The result is rounded down, but is at least 1. [`build`](Self::build) returns an error for
    /// zero. The default is one process.
    pub fn replicas(mut self, replicas: u32) -> Self
    where
        S: FallibleStoreConfig,
    {
        self.settings.replicas = replicas;
        self
    }
}
