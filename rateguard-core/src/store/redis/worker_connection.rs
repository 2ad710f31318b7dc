//! Opens the connection of one worker's runtime, and sends the requests of this runtime on it.
//!
//! The connection manager on the I/O thread decides which server is used and whether it is available. A worker only
//! connects to a server that the connection manager is connected to. While a worker is not connected, the dispatcher on
//! the I/O thread sends its requests. So no request waits until a worker has connected.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{Either, select},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    batch_queue::BatchQueue,
    dispatcher::{Dispatcher, Stopped},
    health_reports::HealthReports,
    heartbeat::HEARTBEAT_INTERVAL,
    link_state::{ActiveConnection, LinkState},
    script_runner::ScriptRunner,
};
use crate::{backoff::Backoff, jitter::jittered, store::StoreError};

/// The mean delay before a worker connects. The delay is random, so that many workers do not connect to a server at the
/// same moment after it has become available again.
const CONNECT_DELAY: Duration = Duration::from_millis(20);

/// The backoff between two attempts of a worker to connect. It is longer than that of the connection manager, because
/// there are many workers, and no check waits for them. For example, the server may have too many clients.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(5), 0.25);
/// If a connection was open for this time, the next backoff starts again with the initial delay.
const STABLE_AFTER: Duration = Duration::from_secs(1);

/// The settings that the connections of all workers to one server share.
#[derive(Clone)]
pub(super) struct ConnectionSettings {
    pub(super) state: watch::Receiver<LinkState>,
    pub(super) script: Arc<ScriptRunner>,
    pub(super) reports: Arc<HealthReports>,
    /// The queue of the dispatcher on the I/O thread.
    pub(super) shared: Arc<BatchQueue>,
    /// The deadline of the guard.
    pub(super) deadline: Duration,
}

/// The task that owns the connection of a worker.
pub(super) struct WorkerConnection {
    settings: ConnectionSettings,
    dispatcher: Dispatcher,
}

impl WorkerConnection {
    pub(super) fn new(settings: &ConnectionSettings, queue: &Arc<BatchQueue>) -> Self {
        let ConnectionSettings { script, reports, deadline, .. } = settings.clone();
        // The connection manager tests only its own connection. A firewall may drop the packets of this one.
        let lost_after = Some(2 * deadline);
        let dispatcher = Dispatcher::new(Arc::clone(queue), script, reports, deadline, lost_after);
        Self { settings: settings.clone(), dispatcher }
    }

    /// Connects and sends requests until the guard is dropped or closed.
    pub(super) async fn run(self) {
        // A runtime without timers or without network access panics when the worker connects. The dispatcher on the I/O
        // thread then sends all requests of the runtime.
        let _ = AssertUnwindSafe(self.serve()).catch_unwind().await;
    }

    async fn serve(&self) {
        let mut backoff = BACKOFF;
        let mut state = self.settings.state.clone();
        loop {
            let server = match state.wait_for(|it| matches!(it, LinkState::Up(_))).await.as_deref()
            {
                Ok(LinkState::Up(server)) => server.clone(),
                _ => return,
            };
            // A guard that was dropped leaves its last state in the channel.
            if state.has_changed().is_err() {
                return;
            }
            let is_replaced = || self.is_replaced(server.generation);
            sleep(jittered(CONNECT_DELAY, 1.0)).await;
            let start = Instant::now();
            match select(pin!(self.connect(&server)), pin!(is_replaced())).await {
                Either::Left((Some(active), _)) => self.send_on(&active, is_replaced()).await,
                Either::Left((None, _)) => {}
                Either::Right(_) => continue,
            }
            if start.elapsed() >= STABLE_AFTER {
                backoff = BACKOFF;
                continue;
            }
            let (delay, start) = (backoff.next_delay(), Instant::now());
            sleep(delay).await;
            if start.elapsed() < delay / 2 {
                // A test has paused the clock of tokio, so delays have no effect. Do not connect again and again without
                // a delay.
                is_replaced().await;
            }
        }
    }

    /// Opens a connection of this worker to the server of `manager`, the connection of the connection manager.
    async fn connect(&self, manager: &ActiveConnection) -> Option<ActiveConnection> {
        let connection = manager.endpoint.connect().await.ok()?;
        Some(ActiveConnection { connection, ..manager.clone() })
    }

    /// Sends the requests of the worker on this connection, until it is lost or `stop` completes.
    async fn send_on(&self, active: &ActiveConnection, stop: impl Future<Output = ()>) {
        let Self { dispatcher, settings } = self;
        dispatcher.queue.open();
        let dispatch = pin!(dispatcher.run_on(active, stop));
        match select(dispatch, pin!(self.until_silent(active))).await {
            Either::Left((Stopped::Lost(_), _)) => settings.reports.wake.notify_one(),
            Either::Left((Stopped::ByOwner, _)) | Either::Right(_) => {}
        }
        self.pass_requests_on();
    }

    /// Sends heartbeats, so that neither the server nor a firewall closes the connection while it is idle. Returns when a
    /// heartbeat has no reply.
    async fn until_silent(&self, active: &ActiveConnection) {
        loop {
            sleep(HEARTBEAT_INTERVAL).await;
            let mut connection = active.connection.clone();
            // The script uses `TIME`, so the Redis user has the permission for it.
            let command = redis::cmd("TIME");
            let mut reply = pin!(command.exec_async(&mut connection));
            let mut is_silent = timeout(HEARTBEAT_INTERVAL, &mut reply).await.is_err();
            if is_silent {
                // If this thread was stalled, the reply may have arrived, but has not been read yet.
                is_silent = timeout(self.settings.deadline, reply).await.is_err();
            }
            if is_silent {
                return;
            }
        }
    }

    /// Waits until the connection manager no longer uses the connection with this number.
    async fn is_replaced(&self, generation: u64) {
        let is_other =
            |it: &LinkState| !matches!(it, LinkState::Up(live) if live.generation == generation);
        // An error means that the guard was dropped.
        let _ = self.settings.state.clone().wait_for(is_other).await;
    }

    /// Lets the dispatcher on the I/O thread send the requests in the queue.
    fn pass_requests_on(&self) {
        let waiting = self.dispatcher.queue.close(StoreError::NotReady(None));
        self.settings.shared.push_all(waiting);
    }
}

impl Drop for WorkerConnection {
    fn drop(&mut self) {
        self.pass_requests_on();
    }
}
