//! A thread for what looks after connections, with a runtime of its own: a worker that blocks stalls nobody else.

use std::{future::Future, io, pin::pin, sync::mpsc, thread};

use futures_util::future;
use tokio::sync::oneshot;

/// The thread's work goes on until this is dropped.
pub(super) struct OwnThread {
    _end: oneshot::Sender<()>,
}

impl OwnThread {
    pub(super) fn run(
        name: &str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Self> {
        let (end, ended) = oneshot::channel();
        let (started, starts) = mpsc::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Made here, because a runtime must not be dropped where another one runs.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let _ = started.send(runtime.as_ref().map(|_| ()).map_err(|error| error.kind()));
            if let Ok(runtime) = runtime {
                runtime.block_on(future::select(pin!(work), ended));
            }
        })?;
        // The thread says it as its first thing; if it cannot, it is gone.
        starts.recv().map_err(io::Error::other)??;
        Ok(Self { _end: end })
    }
}
