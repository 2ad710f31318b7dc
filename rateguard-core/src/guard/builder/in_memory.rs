//! The memory of this process, in the type of a builder.

use std::time::Duration;

use super::store_config::OpenStore;
use crate::{BuildError, MemoryStore, store::Store};

/// The memory of this process, in the type of a [`RateGuardBuilder`](super::RateGuardBuilder).
/// [`RateGuard::builder`](crate::RateGuard::builder) returns such a builder.
pub struct InMemory {
    pub(super) store: MemoryStore,
}

impl OpenStore for InMemory {
    const NAME: &'static str = "InMemory";

    fn open(self, _: Duration) -> Result<Box<dyn Store>, BuildError> {
        Ok(Box::new(self.store))
    }
}
