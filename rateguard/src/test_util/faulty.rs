//! A store that fails or hangs on demand.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    StoreError,
    store::{Answer, Charge, Operation, Store},
};

/// A store that does what another one does until it is told otherwise. A clone is the same store.
#[derive(Clone)]
pub struct FaultyStore {
    store: Arc<dyn Store>,
    fault: Arc<Mutex<Fault>>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Fails(StoreError),
    Hangs,
}

impl FaultyStore {
    /// This store, which works at first.
    #[must_use]
    pub fn new(store: impl Store + 'static) -> Self {
        Self { store: Arc::new(store), fault: Arc::new(Mutex::new(Fault::None)) }
    }

    /// From now on it answers with this error and does nothing.
    pub fn fail(&self, cause: StoreError) {
        self.set(Fault::Fails(cause));
    }

    /// From now on it does nothing and never answers: guards run into their deadline.
    pub fn hang(&self) {
        self.set(Fault::Hangs);
    }

    /// From now on it works.
    pub fn work(&self) {
        self.set(Fault::None);
    }

    fn answer<'a>(&self, of_store: impl FnOnce() -> Answer<'a>) -> Answer<'a> {
        let fault = *self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            Fault::None => of_store(),
            Fault::Fails(cause) => Answer::Now(Err(cause)),
            Fault::Hangs => Answer::Later(Box::pin(std::future::pending())),
        }
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

impl Store for FaultyStore {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        self.answer(|| self.store.apply(operation, charges))
    }

    fn apply_within<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        charges: &'a [Charge<'a>],
    ) -> Answer<'a> {
        self.answer(|| self.store.apply_within(deadline, operation, charges))
    }

    fn health(&self) -> Result<(), StoreError> {
        match *self.fault.lock().unwrap_or_else(PoisonError::into_inner) {
            Fault::None => self.store.health(),
            Fault::Fails(cause) => Err(cause),
            Fault::Hangs => Err(StoreError::Timeout),
        }
    }

    fn server(&self, charges: &[Charge<'_>]) -> usize {
        self.store.server(charges)
    }

    fn timeout_cause(&self, charges: &[Charge<'_>]) -> StoreError {
        match *self.fault.lock().unwrap_or_else(PoisonError::into_inner) {
            Fault::Hangs => StoreError::Timeout,
            _ => self.store.timeout_cause(charges),
        }
    }

    fn close(&self) {
        self.store.close();
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("fault", &self.fault).finish_non_exhaustive()
    }
}
