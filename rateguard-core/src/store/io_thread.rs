//! Runs the connections that all threads of the application share on a separate thread, the I/O thread.
//!
//! The thread has its own async runtime. A blocked worker thread of the application therefore does not delay the checks
//! of other threads, and the guard also works with runtimes that have several threads.

use std::{
    io,
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot, task::AbortHandle};

use crate::backoff::Backoff;

/// The backoff between two attempts to connect. The longest delay is 625 ms (500 ms and a jitter of at most 25 %), so
/// the store connects soon after a server has become available again.
pub(super) const CONNECT_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(20), Duration::from_millis(500), 0.25);

/// A thread that has its own async runtime. When this value is dropped, the thread and all of its tasks end.
pub(super) struct IoThread {
    handle: Handle,
    /// The thread ends when this sender is dropped. The value is `None` after [`close`](Self::close).
    shutdown: Mutex<Option<oneshot::Sender<()>>>,
}

impl IoThread {
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let (shutdown, shutdown_signal) = oneshot::channel();
        let (handle_sender, handle_receiver) = mpsc::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Create and drop the runtime on this thread, because tokio panics if a runtime is dropped inside another
            // runtime.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let handle = runtime.as_ref().map(|runtime| runtime.handle().clone());
            let _ = handle_sender.send(handle.map_err(io::Error::kind));
            if let Ok(runtime) = runtime {
                let _ = runtime.block_on(shutdown_signal);
            }
        })?;
        // `recv` fails only if the thread has panicked before it sent the handle of its runtime.
        let handle = handle_receiver.recv().map_err(io::Error::other)??;
        Ok(Self { handle, shutdown: Mutex::new(Some(shutdown)) })
    }

    /// Ends the thread and all of its tasks.
    pub(super) fn close(&self) {
        // Code under this lock only assigns one value, so the value is consistent even if the lock is poisoned.
        self.shutdown.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// A task that is aborted when this value is dropped.
pub(super) struct Task(AbortHandle);

impl Task {
    pub(super) fn spawn(runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(runtime.spawn(task).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
