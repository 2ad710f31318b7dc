//! The store type of a builder whose guard counts in a store of the application.

use std::time::Duration;

use super::{FallibleStoreConfig, store_config::OpenStore};
use crate::{BuildError, store::Store};

/// Marks a [`RateGuardBuilder`](super::RateGuardBuilder) whose guard counts in a [`Store`] of the application.
/// [`RateGuardBuilder::store`](super::RateGuardBuilder::store) returns such a builder.
pub struct OwnStore {
    store: Box<dyn Store>,
}

impl OwnStore {
    pub(super) fn new(store: impl Store + 'static) -> Self {
        Self { store: Box::new(store) }
    }
}

impl FallibleStoreConfig for OwnStore {}

impl OpenStore for OwnStore {
    const NAME: &'static str = "OwnStore";
    const KIND: &'static str = "custom";

    fn open(self, _: Duration) -> Result<Box<dyn Store>, BuildError> {
        Ok(self.store)
    }
}
