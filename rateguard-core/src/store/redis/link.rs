//! Links the store to one Redis server. All checks share the link. A task opens the connection, and connects again
//! after the connection was lost.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
};

use super::{
    batch_queue::BatchQueue,
    connector::Source,
    dispatcher::Dispatcher,
    error::{concerns_script, needs_reconnect},
    health_reports::{HealthReports, InFlightGuard},
    link_state::{ActiveConnection, LinkState},
    pending_request::{PendingRequest, RequestError},
    progress::Progress,
    queued_request::QueuedRequest,
    reconnect::ConnectionManager,
    script_runner::ScriptRunner,
};
use crate::store::{StoreError, io_thread::Task, script::BatchOutcome};

/// The link to one Redis server. It consists of a queue, a dispatcher and a connection manager. When the link is
/// dropped, its connection closes.
pub(super) struct Link {
    state: watch::Receiver<LinkState>,
    reports: Arc<HealthReports>,
    queue: Arc<BatchQueue>,
    progress: Arc<Progress>,
    _connection_manager: Task,
    _dispatcher: Task,
}

impl Link {
    /// Starts two tasks: the connection manager, which connects to the server, and the dispatcher, which sends the
    /// requests.
    pub(super) fn open(
        source: Source,
        deadline: Duration,
        script: Arc<ScriptRunner>,
        runtime: &Handle,
    ) -> Self {
        let (sender, state) = watch::channel(LinkState::Connecting);
        let (reports, queue) = (Arc::<HealthReports>::default(), Arc::<BatchQueue>::default());
        let progress = Arc::new(Progress::new(deadline));
        let connection_manager = ConnectionManager {
            source,
            deadline,
            state: sender,
            reports: Arc::clone(&reports),
            script: Arc::clone(&script),
        };
        let dispatcher = Dispatcher {
            queue: Arc::clone(&queue),
            script,
            state: state.clone(),
            progress: Arc::clone(&progress),
            is_cluster: AtomicBool::new(false),
        };
        let _connection_manager = Task::spawn(runtime, connection_manager.run());
        let _dispatcher = Task::spawn(runtime, dispatcher.run());
        Self { state, reports, queue, progress, _connection_manager, _dispatcher }
    }

    /// Sends the request in one of the next batches. The server does not execute the request if the deadline has
    /// expired.
    pub(super) async fn send(
        &self,
        request: Arc<QueuedRequest>,
        created_at: Instant,
        deadline: Instant,
    ) -> Result<BatchOutcome, RequestError> {
        let (reply, outcome) = oneshot::channel();
        // Send a reset in its own batch. All requests of a batch have the same time. If the batch also contained a
        // check, a later refund could not detect whether the check took its units before or after the reset.
        let no_batching = request.is_reset();
        self.queue.push(PendingRequest { request, no_batching, created_at, deadline, reply });
        // `outcome` returns an error if the sender was dropped. The sender is dropped when the connection of the
        // batch is lost.
        outcome.await.unwrap_or(Err(RequestError::NoConnection(StoreError::Disconnected(None))))
    }

    /// Returns true if this process is the reason why a request has no timely reply. This is the case if there is a
    /// connection, and the server replies to the batches that it receives.
    pub(super) fn is_congested(&self) -> bool {
        matches!(&*self.state.borrow(), LinkState::Up(_)) && !self.progress.is_silent()
    }

    /// Returns the live connection. If the first attempt to connect, or the first attempt after a loss, is in
    /// progress, waits for its result.
    pub(super) async fn live(&self) -> Result<ActiveConnection, StoreError> {
        // Usually there is a live connection, and the receiver need not be cloned.
        if let LinkState::Up(live) = &*self.state.borrow() {
            return Ok(live.clone());
        }
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, LinkState::Connecting)).await;
        match settled.as_deref() {
            Ok(LinkState::Up(live)) => Ok(live.clone()),
            Ok(LinkState::Down(cause)) => Err(*cause),
            Ok(LinkState::Connecting) | Err(_) => Err(StoreError::Unreachable(None)),
        }
    }

    /// Returns the live connection. If there is none, returns an error immediately.
    pub(super) fn live_now(&self) -> Result<ActiveConnection, StoreError> {
        match &*self.state.borrow() {
            LinkState::Up(live) => Ok(live.clone()),
            LinkState::Down(cause) => Err(*cause),
            LinkState::Connecting => Err(StoreError::Unreachable(None)),
        }
    }

    /// Reports that a check failed with this error on the connection with this number.
    pub(super) fn report_error(&self, generation: u64, cause: StoreError) {
        if needs_reconnect(cause) {
            self.reports.mark_broken(generation, cause);
        } else if concerns_script(cause) {
            self.reports.record_script(generation, Some(cause));
        }
    }

    /// Returns an error if there is no live connection, or if the server cannot run the script.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        let live = self.live_now()?;
        self.reports.script_failure(live.generation).map_or(Ok(()), Err)
    }

    /// Returns a guard for a request in flight. If the guard is dropped before the request is complete, the connection
    /// manager tests the connection. The usual reason for such a drop is that the deadline of the request has expired.
    pub(super) fn in_flight_guard(&self) -> InFlightGuard<'_> {
        InFlightGuard::new(&self.reports)
    }
}
