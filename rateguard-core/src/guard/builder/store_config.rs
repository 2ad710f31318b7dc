//! The traits of the stores that a builder can open.

use std::time::Duration;

use crate::{BuildError, store::Store};

/// The store that a [`RateGuardBuilder`](super::RateGuardBuilder) opens. This trait is sealed, so other crates cannot
/// implement it. For a store of your own, implement [`Store`] and pass the store to
/// [`RateGuardBuilder::store`](super::RateGuardBuilder::store).
pub trait StoreConfig: OpenStore {}

/// A store that can fail or be slow. Only [`InMemory`](super::InMemory) is not such a store. A builder for a store that
/// can fail has additional settings for failures, such as `deadline`. This trait is sealed, so other crates cannot
/// implement it.
#[diagnostic::on_unimplemented(
    message = "this setting requires a store that can fail, found the store `{Self}`",
    label = "a guard in memory does not have this setting",
    note = "for a guard on Redis, start with `RateGuard::redis(url)` in place of `RateGuard::builder()`",
    note = "a store in memory never fails, so it has no `deadline`, `on_error`, `fail_closed_after`, `max_in_flight`, `denial_cache_ttl` and `replicas`"
)]
pub trait FallibleStoreConfig: StoreConfig {}

impl<S: OpenStore> StoreConfig for S {}

/// Opens the store of a builder. This trait is not exported, so other crates cannot implement it.
pub trait OpenStore {
    /// The name of the store in the `Debug` text of the builder.
    const NAME: &'static str;
    /// The kind of the store in the statistics of a guard.
    const KIND: &'static str;
    /// The default of `denial_cache_ttl`. Zero means that the guard has no denial cache.
    const DENIAL_CACHE_TTL: Duration = Duration::ZERO;

    /// Opens the store. `deadline` is the maximum duration of a check.
    fn open(self, deadline: Duration) -> Result<Box<dyn Store>, BuildError>;
}
