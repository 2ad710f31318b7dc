//! Wraps a store, and makes it fail or hang when a test requests this.

use std::{
    fmt,
    future::{pending, ready},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    StoreError,
    store::{
        BucketRequest, DocumentFuture, DocumentRead, DocumentStore, DocumentVersion, DocumentWrite,
        Keyspace, Operation, Store, StoreFuture,
    },
};

/// A wrapper that makes a store fail when a test calls [`fail`](Self::fail) or [`hang`](Self::hang). All clones share
/// the store and the current fault.
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
    /// Wraps a store, which works normally until a test requests a fault.
    #[must_use]
    pub fn new(store: impl Store + 'static) -> Self {
        Self { store: Arc::new(store), fault: Arc::new(Mutex::new(Fault::None)) }
    }

    /// From now on, every operation returns this error and does nothing else.
    pub fn fail(&self, cause: StoreError) {
        self.set(Fault::Fails(cause));
    }

    /// From now on, every operation does nothing and never completes, so a check ends only at the deadline of the
    /// guard.
    pub fn hang(&self) {
        self.set(Fault::Hangs);
    }

    /// Ends the fault, so that the store works again.
    pub fn work(&self) {
        self.set(Fault::None);
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn apply_unless_faulty<'a>(&self, apply: impl FnOnce() -> StoreFuture<'a>) -> StoreFuture<'a> {
        match self.fault() {
            Fault::None => apply(),
            Fault::Fails(cause) => StoreFuture::Ready(Err(cause)),
            Fault::Hangs => StoreFuture::Pending(Box::pin(pending())),
        }
    }
}

impl FaultyStore {
    fn run_unless_faulty<'a, T: Send + 'a>(
        &'a self,
        run: impl FnOnce(&'a dyn DocumentStore) -> DocumentFuture<'a, T>,
    ) -> DocumentFuture<'a, T> {
        match (self.fault(), self.store.documents()) {
            (Fault::None, Some(documents)) => run(documents),
            (Fault::None, None) => Box::pin(ready(Err(StoreError::Other("no documents")))),
            (Fault::Fails(cause), _) => Box::pin(ready(Err(cause))),
            (Fault::Hangs, _) => Box::pin(pending()),
        }
    }
}

impl Store for FaultyStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        self.apply_unless_faulty(|| self.store.apply(operation, requests))
    }

    fn apply_with_deadline<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        self.apply_unless_faulty(|| self.store.apply_with_deadline(deadline, operation, requests))
    }

    fn health(&self) -> Result<(), StoreError> {
        match self.fault() {
            Fault::None => self.store.health(),
            Fault::Fails(cause) => Err(cause),
            Fault::Hangs => Err(StoreError::Timeout),
        }
    }

    fn server(&self, requests: &[BucketRequest<'_>]) -> usize {
        self.store.server(requests)
    }

    fn timeout_cause(&self, requests: &[BucketRequest<'_>]) -> StoreError {
        match self.fault() {
            Fault::Hangs => StoreError::Timeout,
            _ => self.store.timeout_cause(requests),
        }
    }

    fn close(&self) {
        self.store.close();
    }

    fn keyspace(&self) -> Option<&Keyspace> {
        self.store.keyspace()
    }

    fn documents(&self) -> Option<&dyn DocumentStore> {
        self.store.documents().is_some().then_some(self)
    }
}

impl DocumentStore for FaultyStore {
    fn read<'a>(
        &'a self,
        name: &'a str,
        last: Option<DocumentVersion>,
    ) -> DocumentFuture<'a, DocumentRead> {
        self.run_unless_faulty(|documents| documents.read(name, last))
    }

    fn write<'a>(
        &'a self,
        name: &'a str,
        write: DocumentWrite<'a>,
    ) -> DocumentFuture<'a, Option<DocumentVersion>> {
        self.run_unless_faulty(|documents| documents.write(name, write))
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("fault", &self.fault).finish_non_exhaustive()
    }
}
