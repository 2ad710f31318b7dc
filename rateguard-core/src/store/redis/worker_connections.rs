//! Holds the connections that worker threads have to one server. Each single-threaded async runtime, such as that of an
//! actix-web worker, has its own connection, so a check of this runtime never waits for another thread.

use std::{
    cell::RefCell,
    collections::HashMap,
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::runtime::{self, Handle, RuntimeFlavor};

use super::{
    batch_queue::BatchQueue,
    pending_request::PendingRequest,
    worker_connection::{ConnectionSettings, WorkerConnection},
};
use crate::store::StoreError;

/// The maximum number of worker connections to one server. Further runtimes use the connection of the I/O thread.
const MAX_CONNECTIONS: usize = 256;

/// The connections of all runtimes to one server.
pub(super) struct WorkerConnections {
    /// The number of this value. No other value of this process ever has this number.
    number: u64,
    settings: ConnectionSettings,
    queues: Mutex<HashMap<runtime::Id, Arc<BatchQueue>>>,
    /// The id of the process that created this value. A fork of this process must not create connections.
    process: u32,
}

/// The queue of a runtime, in the cache of a thread.
struct CachedQueue {
    connections: u64,
    runtime: runtime::Id,
    queue: Weak<BatchQueue>,
}

thread_local! {
    /// The queues that this thread has used. The cache makes the lock of [`WorkerConnections`] unnecessary for most
    /// requests.
    static CACHE: RefCell<Vec<CachedQueue>> = const { RefCell::new(Vec::new()) };
}

impl WorkerConnections {
    pub(super) fn new(settings: ConnectionSettings) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            number: NEXT.fetch_add(1, Relaxed),
            settings,
            queues: Mutex::default(),
            process: process::id(),
        })
    }

    /// Returns the queue of the current runtime. If the runtime has no connection yet, starts to connect. Returns `None`
    /// if there is no runtime, if the runtime has several threads, or if there are already [`MAX_CONNECTIONS`].
    pub(super) fn queue(self: &Arc<Self>) -> Option<Arc<BatchQueue>> {
        let runtime = Handle::try_current().ok()?;
        if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
            return None;
        }
        let id = runtime.id();
        let cached = CACHE.try_with(|cache| {
            let cache = cache.borrow();
            let is_same = |it: &&CachedQueue| it.connections == self.number && it.runtime == id;
            cache.iter().find(is_same)?.queue.upgrade()
        });
        match cached {
            Ok(Some(queue)) => Some(queue),
            _ => self.find_or_connect(&runtime),
        }
    }

    fn find_or_connect(self: &Arc<Self>, runtime: &Handle) -> Option<Arc<BatchQueue>> {
        let id = runtime.id();
        let mut queues = self.lock();
        let queue = match queues.get(&id) {
            Some(queue) => Arc::clone(queue),
            None if queues.len() >= MAX_CONNECTIONS || process::id() != self.process => {
                return None;
            }
            None => {
                let queue = Arc::new(BatchQueue::closed());
                queues.insert(id, Arc::clone(&queue));
                // If the runtime ends now, `spawn` drops the task, and the drop of `Registration` locks `queues`.
                drop(queues);
                let registration = Registration { connections: Arc::downgrade(self), runtime: id };
                let worker = WorkerConnection::new(&self.settings, &queue);
                runtime.spawn(async move {
                    let _registration = registration;
                    worker.run().await;
                });
                queue
            }
        };
        let _ = CACHE.try_with(|cache| {
            let mut cache = cache.borrow_mut();
            cache.retain(|it| it.queue.strong_count() > 0);
            let queue = Arc::downgrade(&queue);
            cache.push(CachedQueue { connections: self.number, runtime: id, queue });
        });
        Some(queue)
    }

    /// Takes the requests of all dispatchers that have not run since the last call of this method. For example, code of
    /// the application blocks the thread of a worker until a check is complete.
    pub(super) fn stalled_requests(&self) -> Vec<PendingRequest> {
        let queues: Vec<_> = self.lock().values().map(Arc::clone).collect();
        let stalled = queues.iter().filter(|queue| !queue.take_has_run());
        stalled.flat_map(|queue| queue.drain()).collect()
    }

    /// Returns the number of workers that are connected.
    pub(super) fn connected(&self) -> usize {
        self.lock().values().filter(|queue| queue.is_open()).count()
    }

    /// Closes the queues of all workers. Returns the requests that are in these queues.
    pub(super) fn close(&self, cause: StoreError) -> Vec<PendingRequest> {
        let queues: Vec<_> = self.lock().values().map(Arc::clone).collect();
        queues.iter().flat_map(|queue| queue.close(cause)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<runtime::Id, Arc<BatchQueue>>> {
        // Each change is a single call that leaves the map consistent, so it is safe to use a poisoned lock.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the queue of a runtime when the task of its connection ends.
struct Registration {
    connections: Weak<WorkerConnections>,
    runtime: runtime::Id,
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(connections) = self.connections.upgrade() {
            let removed = connections.lock().remove(&self.runtime);
            drop(removed);
        }
    }
}
