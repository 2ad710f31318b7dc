//! Links the store to one Redis server. The connection manager on the I/O thread connects to the server, tests it, and
//! connects again after a loss. Checks use the connection of their worker, or that of the I/O thread.

use std::{process, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::watch};

use super::{
    batch_queue::BatchQueue,
    connector::Source,
    health_reports::HealthReports,
    link_state::{ActiveConnection, LinkState},
    pending_request::{PendingRequest, RequestError},
    queued_request::QueuedRequest,
    reconnect::ConnectionManager,
    script_runner::ScriptRunner,
    shared_connection,
    stalled_workers::StalledWorkers,
    worker_connection::ConnectionSettings,
    worker_connections::WorkerConnections,
};
use crate::store::{StoreError, io_thread::Task, script::BatchOutcome};

/// The link to one Redis server. When the link is dropped, its connections close.
pub(super) struct Link {
    state: watch::Receiver<LinkState>,
    reports: Arc<HealthReports>,
    workers: Arc<WorkerConnections>,
    /// The queue of the dispatcher on the I/O thread.
    shared: Arc<BatchQueue>,
    /// The id of the process that created the link. Only this process has the I/O thread.
    process: u32,
    _connection_manager: Task,
    _dispatcher: Task,
    _stalled_workers: Task,
}

impl Link {
    /// Starts the tasks on the I/O thread: the connection manager, which connects to the server, a dispatcher, which sends
    /// the requests of callers without a connection of their own, and the task that serves stalled workers.
    pub(super) fn open(
        source: Source,
        deadline: Duration,
        script: Arc<ScriptRunner>,
        io_thread: &Handle,
    ) -> Self {
        let (sender, state) = watch::channel(LinkState::Connecting);
        let settings = ConnectionSettings {
            state: state.clone(),
            script: Arc::clone(&script),
            reports: Arc::default(),
            shared: Arc::new(BatchQueue::new()),
            deadline,
        };
        let (shared, reports) = (Arc::clone(&settings.shared), Arc::clone(&settings.reports));
        let _dispatcher = Task::spawn(io_thread, shared_connection::run(settings.clone()));
        let workers = WorkerConnections::new(settings);
        let connection_manager = ConnectionManager {
            source,
            deadline,
            state: sender,
            reports: Arc::clone(&reports),
            script,
        };
        let _connection_manager = Task::spawn(io_thread, connection_manager.run());
        let stalled_workers =
            StalledWorkers { workers: Arc::clone(&workers), shared: Arc::clone(&shared) };
        let _stalled_workers = Task::spawn(io_thread, stalled_workers.run());
        let process = process::id();
        Self {
            state,
            reports,
            workers,
            shared,
            process,
            _connection_manager,
            _dispatcher,
            _stalled_workers,
        }
    }

    /// Sends the request in one of the next batches, and returns its outcome. After the deadline, the server does not
    /// execute the request, and the method returns an error.
    pub(super) async fn send(
        &self,
        request: &Arc<QueuedRequest>,
        deadline: Duration,
    ) -> Result<BatchOutcome, RequestError> {
        if deadline.is_zero() {
            return Err(RequestError::Store(self.timeout_cause()));
        }
        let (mut pending, outcome) = PendingRequest::new(request, deadline);
        if let Some(queue) = self.workers.queue() {
            match queue.push(pending) {
                Ok(()) => return outcome.wait().await,
                Err((returned, _)) => pending = returned,
            }
        }
        if process::id() != self.process {
            return Err(RequestError::Store(StoreError::Forked));
        }
        match self.shared.push(pending) {
            Ok(()) => outcome.wait().await,
            Err((_, cause)) => Err(RequestError::Store(cause)),
        }
    }

    /// Returns the reason why a request has no outcome before its deadline.
    fn timeout_cause(&self) -> StoreError {
        if self.is_congested() { StoreError::Overloaded } else { StoreError::Timeout }
    }

    /// Returns true if this process is the reason why a request has no timely reply. This is the case if there is a
    /// connection, and the server replies to the calls that it receives.
    pub(super) fn is_congested(&self) -> bool {
        matches!(&*self.state.borrow(), LinkState::Up(_)) && !self.reports.is_silent()
    }

    /// Returns the number of open connections: that of the I/O thread, and those of the workers.
    pub(super) fn connections(&self) -> usize {
        // After the guard was closed, the channel still has the last state.
        let is_connected = self.live_now().is_ok() && self.state.has_changed().is_ok();
        usize::from(is_connected) + self.workers.connected()
    }

    /// Returns the connection of the I/O thread. If there is none, returns an error.
    pub(super) fn live_now(&self) -> Result<ActiveConnection, StoreError> {
        match &*self.state.borrow() {
            LinkState::Up(live) => Ok(live.clone()),
            LinkState::Down(cause) => Err(*cause),
            LinkState::Connecting => Err(StoreError::Unreachable(None)),
        }
    }

    /// Returns the connection of the I/O thread. If the first attempt to connect, or the first attempt after a loss, is in
    /// progress, waits for its result.
    pub(super) async fn live(&self) -> Result<ActiveConnection, StoreError> {
        let mut state = self.state.clone();
        // An error means that the link was closed.
        let _ = state.wait_for(|state| !matches!(state, LinkState::Connecting)).await;
        self.live_now()
    }

    /// Records that a request failed with this error on the connection with this number.
    pub(super) fn record_error(&self, generation: u64, cause: StoreError) {
        self.reports.record_error(generation, cause);
    }

    /// Returns an error if there is no live connection, or if the server cannot run the script.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        let live = self.live_now()?;
        self.reports.script_failure(live.generation).map_or(Ok(()), Err)
    }
}
