//! The link to one Redis server, which all checks share. A task opens the connection and reconnects after a loss.

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
    error::needs_reconnect,
    health_reports::{HealthReports, InFlightGuard},
    link_state::{ActiveConnection, LinkState},
    pending_request::{PendingRequest, RequestError},
    progress::Progress,
    queued_request::QueuedRequest,
    reconnect::ConnectionManager,
    script_runner::ScriptRunner,
};
use crate::store::{StoreError, io_thread::Task, script::BatchOutcome};

/// The link to one Redis server: the queue, the dispatcher and the connection manager. The connection closes when the
/// link is dropped.
pub(super) struct Link {
    state: watch::Receiver<LinkState>,
    reports: Arc<HealthReports>,
    queue: Arc<BatchQueue>,
    progress: Arc<Progress>,
    _connection_manager: Task,
    _dispatcher: Task,
}

impl Link {
    /// Starts the connection manager, which connects to the server, and the dispatcher.
    pub(super) fn open(
        source: Source,
        deadline: Duration,
        script: Arc<ScriptRunner>,
        runtime: &Handle,
    ) -> Self {
        let (sender, state) = watch::channel(LinkState::Connecting);
        let (reports, queue) = (Arc::<HealthReports>::default(), Arc::<BatchQueue>::default());
        let progress = Arc::new(Progress::new(deadline));
        let connection_manager =
            ConnectionManager { source, deadline, state: sender, reports: Arc::clone(&reports) };
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

    /// Sends the request with the next batch. The server does not execute the request after the deadline.
    pub(super) async fn send(
        &self,
        request: Arc<QueuedRequest>,
        created_at: Instant,
        deadline: Instant,
    ) -> Result<BatchOutcome, RequestError> {
        let (reply, outcome) = oneshot::channel();
        // Send a reset in its own batch. All requests of a batch have the same time, so a refund could not distinguish
        // units that were taken before the reset from units that were taken after the reset.
        let no_batching = request.is_reset();
        self.queue.push(PendingRequest { request, no_batching, created_at, deadline, reply });
        // `outcome` has an error if the sender was dropped, because the connection of the batch was lost.
        outcome.await.unwrap_or(Err(RequestError::NoConnection(StoreError::Disconnected(None))))
    }

    /// Whether this process is the cause if a request has no timely reply. In this case, the connection is up, and the
    /// server replies to the batches that it receives.
    pub(super) fn is_congested(&self) -> bool {
        matches!(&*self.state.borrow(), LinkState::Up(_)) && !self.progress.is_silent()
    }

    /// Returns the live connection. Waits only for the first connect attempt, and for the first attempt after a loss.
    pub(super) async fn live(&self) -> Result<ActiveConnection, StoreError> {
        // In the common case, do not clone the receiver.
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

    /// Returns the live connection, or an error immediately.
    pub(super) fn live_now(&self) -> Result<ActiveConnection, StoreError> {
        match &*self.state.borrow() {
            LinkState::Up(live) => Ok(live.clone()),
            LinkState::Down(cause) => Err(*cause),
            LinkState::Connecting => Err(StoreError::Unreachable(None)),
        }
    }

    /// Reports that a check failed on the connection with this number.
    pub(super) fn report_error(&self, generation: u64, cause: StoreError) {
        if needs_reconnect(cause) {
            self.reports.mark_broken(generation, cause);
        }
    }

    /// Returns a guard for a request. If the guard is dropped before the request is complete, probably because of the
    /// deadline, the connection manager tests the connection.
    pub(super) fn in_flight_guard(&self) -> InFlightGuard<'_> {
        InFlightGuard::new(&self.reports)
    }
}
