//! The thread that runs the connections of a store.
//!
//! The thread has its own runtime. Requests therefore never wait for a connection to be set up on their own thread, a
//! blocked worker thread does not delay the checks of other threads, and a guard works on every runtime.

use std::{
    io,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use tokio::{runtime::Handle, sync::oneshot, task::AbortHandle};

/// A thread with a runtime. To drop it ends the thread and all of its tasks.
pub(super) struct IoThread {
    handle: Handle,
    /// The thread ends when this sender is dropped. `None` after [`close`](Self::close).
    shutdown: Mutex<Option<oneshot::Sender<()>>>,
}

impl IoThread {
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let (shutdown, shutdown_signal) = oneshot::channel();
        let (handle_sender, handle_receiver) = mpsc::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            // The runtime is created and dropped on this thread: to drop a runtime inside another one panics.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let handle = runtime.as_ref().map(|runtime| runtime.handle().clone());
            let _ = handle_sender.send(handle.map_err(io::Error::kind));
            if let Ok(runtime) = runtime {
                let _ = runtime.block_on(shutdown_signal);
            }
        })?;
        // The receiver fails only if the thread has panicked before it sent the handle.
        let handle = handle_receiver.recv().map_err(io::Error::other)??;
        Ok(Self { handle, shutdown: Mutex::new(Some(shutdown)) })
    }

    /// Ends the thread and all of its tasks.
    pub(super) fn close(&self) {
        // The lock is only held for this single assignment, so a poisoned one is still consistent.
        self.shutdown.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// A task that is aborted when this is dropped.
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
