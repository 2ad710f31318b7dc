//! The thread on which connections live.
//!
//! It has a runtime of its own. So no request ever connects, a worker that blocks does not stall the others' checks, and a
//! guard works from whatever runtime uses it.

use std::{
    io,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use tokio::{runtime::Handle, sync::oneshot, task::AbortHandle};

/// A thread with a runtime. When it is dropped, the thread ends, and all that it does.
pub(super) struct Home {
    handle: Handle,
    /// Until it is closed.
    end: Mutex<Option<oneshot::Sender<()>>>,
}

impl Home {
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let (end, ended) = oneshot::channel();
        let (started, starts) = mpsc::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Made here, because a runtime must not be dropped where another one runs.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let handle = runtime.as_ref().map(|runtime| runtime.handle().clone());
            let _ = started.send(handle.map_err(io::Error::kind));
            if let Ok(runtime) = runtime {
                let _ = runtime.block_on(ended);
            }
        })?;
        // The thread says it as its first thing; if it cannot, it is gone.
        let handle = starts.recv().map_err(io::Error::other)??;
        Ok(Self { handle, end: Mutex::new(Some(end)) })
    }

    /// Ends the thread now.
    pub(super) fn close(&self) {
        // One assignment cannot be left half done.
        self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Something that is done until this is dropped.
pub(super) struct Task(AbortHandle);

impl Task {
    pub(super) fn spawn(home: &Handle, task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(home.spawn(task).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
