//! A store of the application, in the type of a builder.

use std::time::Duration;

use super::{FallibleStoreConfig, store_config::OpenStore};
use crate::{BuildError, store::Store};

/// A [`Store`] of the application, in the type of a [`RateGuardBuilder`](super::RateGuardBuilder).
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

    fn open(self, _: Duration) -> Result<Box<dyn Store>, BuildError> {
        Ok(self.store)
    }
}
