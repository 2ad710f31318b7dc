//! Sends requests on the connection of the I/O thread: the requests of callers that have no worker connection, such as
//! tasks of a runtime with several threads, and of workers that are not connected.

use std::pin::pin;

use tokio::sync::watch;

use super::{
    dispatcher::{Dispatcher, Stopped},
    link_state::{ActiveConnection, LinkState},
    worker_connection::ConnectionSettings,
};
use crate::store::StoreError;

/// Sends the requests of the shared queue until the link is dropped.
pub(super) fn run(settings: ConnectionSettings) -> impl Future<Output = ()> {
    let ConnectionSettings { state, script, reports, shared, deadline } = settings;
    // When the I/O thread ends, even before the first poll, no dispatcher holds the deadlines of the requests any more.
    let dispatcher = FailOnDrop(Dispatcher::new(shared, script, reports, deadline, None));
    async move { serve(state, &dispatcher.0).await }
}

async fn serve(mut state: watch::Receiver<LinkState>, dispatcher: &Dispatcher) {
    loop {
        let current = state.borrow_and_update().clone();
        let changed = async { drop(state.changed().await) };
        match current {
            // A connection is usually available soon, so the requests wait for it.
            LinkState::Connecting => {
                dispatcher.queue.open();
                dispatcher.expire_until(changed).await;
            }
            LinkState::Up(active) => {
                dispatcher.queue.open();
                send_on(dispatcher, &active, changed).await;
            }
            LinkState::Down(cause) => {
                dispatcher.fail_all(cause);
                changed.await;
            }
        }
        if state.has_changed().is_err() {
            return;
        }
    }
}

async fn send_on(
    dispatcher: &Dispatcher,
    active: &ActiveConnection,
    changed: impl Future<Output = ()>,
) {
    let mut changed = pin!(changed);
    if let Stopped::Lost(cause) = dispatcher.run_on(active, changed.as_mut()).await {
        dispatcher.reports.mark_broken(active.generation, cause);
        // The requests in the queue wait for the next connection.
        dispatcher.expire_until(changed).await;
    }
}

struct FailOnDrop(Dispatcher);

impl Drop for FailOnDrop {
    fn drop(&mut self) {
        self.0.fail_all(StoreError::Disconnected(None));
    }
}
