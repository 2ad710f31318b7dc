//! The settings that a builder has only for a store that can fail or respond slowly.

use std::time::Duration;

use actix_rateguard_core::builder::FallibleStoreConfig;

use super::core_settings::core_settings;
use crate::OnError;

core_settings! {
    /// Settings for a store that can fail or respond slowly: Redis, Upstash, or a store that you implement.
    impl[S] for S where S: FallibleStoreConfig;

    /// Sets the maximum total duration of a check, from 1 ms to 60 s. For a duration outside this range,
    /// [`build`](Self::build) returns an error. Default: 100 ms. A check with a nearby Redis server takes about
    /// 1 ms, and users do not notice a delay of 100 ms.
    deadline(deadline: Duration);

    /// Sets the failure mode, which determines decisions while the store does not answer. A policy may have its own
    /// failure mode. Default: [`OnError::Open`].
    on_error(on_error: OnError);

    /// Sets how long the store may fail to answer before the guard rejects requests with 503 in every failure mode. The
    /// time starts with the first check that fails after a successful check. By default, the failure mode stays in
    /// effect as long as the store is down.
    fail_closed_after(grace: Duration);

    /// Sets how many checks may wait for the store at the same time. While this number of checks is waiting, the guard
    /// decides further checks in memory. Default: 4,096. With the default, the waiting checks use at most a few
    /// megabytes of memory. If the number is not from 1 to 4,294,967,295, [`build`](Self::build) returns an error.
    max_in_flight(checks: usize);

    /// Sets the maximum time for which this process caches a denial. While the denial is cached, the guard denies
    /// the same check again without a call to the store. If the bucket may have room earlier, the process removes
    /// the denial at that earlier time. Default: 250 ms for Redis and Upstash, and zero (no cache) for a
    /// [`store`](crate::RateGuardBuilder::store) that you implement. Every duration is valid.
    denial_cache_ttl(max: Duration);

    /// Sets the number of processes that share the store. A process that decides in its own memory divides each limit
    /// by this number. The share is rounded down, but is at least one unit. Default: 1. If the number is zero,
    /// [`build`](Self::build) returns an error.
    replicas(replicas: u32);
}
