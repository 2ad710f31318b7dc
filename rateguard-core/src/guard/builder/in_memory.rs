//! The store type of a builder whose guard counts in the memory of this process.

use std::time::Duration;

use super::store_config::OpenStore;
use crate::{BuildError, MemoryStore, store::Store};

/// Marks a [`RateGuardBuilder`](super::RateGuardBuilder) whose guard counts in the memory of this process.
/// [`RateGuard::builder`](crate::RateGuard::builder) returns such a builder.
pub struct InMemory {
    pub(super) store: MemoryStore,
}

impl OpenStore for InMemory {
    const NAME: &'static str = "InMemory";
    const KIND: &'static str = "memory";

    fn open(self, _: Duration) -> Result<Box<dyn Store>, BuildError> {
        Ok(Box::new(self.store))
    }
}
