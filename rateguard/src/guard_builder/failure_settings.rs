//! The settings of the limiter for stores that can fail or take time.

use std::time::Duration;

use actix_rateguard_core::builder::FallibleStoreConfig;

use super::core_settings::core_settings;
use crate::OnError;

core_settings! {
    /// Settings for a store that can fail or take time: Redis, Upstash, or a store of your own.
    impl[S: FallibleStoreConfig] for S;

    /// How long a check may take in total, from 1 ms to 60 s; other values are an error of [`build`](Self::build).
    /// Default: 100 ms. A Redis server nearby needs about a hundredth of this time, and a user does not notice a delay
    /// of 100 ms.
    deadline(deadline: Duration);

    /// The failure mode for the time while the store does not answer. A policy may have its own failure mode. Default:
    /// [`OnError::Open`].
    on_error(on_error: OnError);

    /// Rejects requests with 503 once the store has not answered for longer than this duration, whatever the failure
    /// mode is. The time starts with the first failed check after the last successful check. Default: never.
    fail_closed_after(grace: Duration);

    /// How many checks may wait for the store at the same time. The guard decides further checks in memory. Default:
    /// 4,096, so the waiting checks use at most some megabytes of memory. A number that is not from 1 to 4,294,967,295 is an
    /// error of [`build`](Self::build).
    max_in_flight(checks: usize);

    /// How long this process caches a denial. Meanwhile, the guard denies the same check again without a call to the
    /// store. A cached denial expires earlier if the bucket may have room earlier. Default: 250 ms on Redis and
    /// Upstash, and zero (no cache) in a [`store`](crate::RateGuardBuilder::store) of your own. Every duration is valid.
    denial_cache_ttl(max: Duration);

    /// How many processes share the store. A process that decides in its own memory divides each limit by this number.
    /// The process rounds the quotient down, but admits at least one unit. Default: 1. Zero is an error of
    /// [`build`](Self::build).
    replicas(replicas: u32);
}
