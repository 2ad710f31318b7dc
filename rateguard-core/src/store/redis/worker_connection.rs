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
use tokio::{sync::watch, time::sleep};

use super::{
    batch_queue::BatchQueue,
    connector::Endpoint,
    dispatcher::{Dispatcher, Stopped},
    health_reports::HealthReports,
    heartbeat::heartbeat,
    heartbeat_interval::HEARTBEAT_INTERVAL,
    link_state::{ActiveConnection, LinkState},
    script_runner::ScriptRunner,
};
use crate::{
    backoff::Backoff,
    jitter::jittered,
    store::{StoreError, server_clock::ServerClock},
};

/// The mean delay before a worker connects. The delay is random, so that many workers do not connect to a server at the
/// same moment after it has become available again. A runtime that ends during the delay never connects.
const CONNECT_DELAY: Duration = Duration::from_millis(100);

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
        let lost_after = Some((2 * deadline).max(HEARTBEAT_INTERVAL));
        let dispatcher = Dispatcher::new(Arc::clone(queue), script, reports, deadline, lost_after);
        Self { settings: settings.clone(), dispatcher }
    }

    /// Connects and sends requests until the guard is dropped or closed.
    pub(super) async fn run(self) {
        // A runtime without timers or without network access panics when the worker connects. The dispatcher on the I/O
        // thread then sends all requests of the runtime.
        if AssertUnwindSafe(self.serve()).catch_unwind().await.is_err() {
            // Keep the closed queue until the guard is dropped, so that the next check does not try to connect again.
            let _ = self.settings.state.clone().wait_for(|_| false).await;
        }
    }

    async fn serve(&self) {
        let mut backoff = BACKOFF;
        let mut state = self.settings.state.clone();
        loop {
            // Do not keep the connection of the connection manager, because the manager may have to replace it.
            let is_up = |it: &LinkState| matches!(it, LinkState::Up(_));
            let (endpoint, generation) = match state.wait_for(is_up).await.as_deref() {
                Ok(LinkState::Up(server)) => (Arc::clone(&server.endpoint), server.generation),
                _ => return,
            };
            // A guard that was dropped leaves its last state in the channel.
            if state.has_changed().is_err() {
                return;
            }
            let is_replaced = || self.is_replaced(generation);
            sleep(jittered(CONNECT_DELAY, 1.0)).await;
            let connect = pin!(self.connect(&endpoint, generation));
            match select(connect, pin!(is_replaced())).await {
                Either::Left((Some(active), _)) => {
                    let start = Instant::now();
                    let stopped = self.send_on(&active, is_replaced()).await;
                    if stopped == Stopped::Lost(StoreError::Forked) {
                        return;
                    }
                    if start.elapsed() >= STABLE_AFTER {
                        backoff = BACKOFF;
                        continue;
                    }
                }
                Either::Left((None, _)) => {}
                Either::Right(_) => continue,
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

    /// Opens a connection of this worker to the server, and tests it. The address may lead to another server than that
    /// of the connection manager, for example to a replica.
    async fn connect(&self, endpoint: &Arc<Endpoint>, generation: u64) -> Option<ActiveConnection> {
        let connection = endpoint.connect().await.ok()?;
        let (endpoint, clock) = (Arc::clone(endpoint), Arc::new(ServerClock::new()));
        let active = ActiveConnection { connection, endpoint, clock, generation };
        heartbeat(&active, self.settings.deadline).await.ok()?;
        Some(active)
    }

    /// Sends the requests of the worker on this connection, until it is lost or `stop` completes.
    async fn send_on(&self, active: &ActiveConnection, stop: impl Future<Output = ()>) -> Stopped {
        let Self { dispatcher, settings } = self;
        dispatcher.queue.open();
        let dispatch = pin!(dispatcher.run_on(active, stop));
        let stopped = match select(dispatch, pin!(self.until_lost(active))).await {
            Either::Left((stopped, _)) => stopped,
            Either::Right((cause, _)) => Stopped::Lost(cause),
        };
        if stopped != Stopped::ByOwner {
            settings.reports.wake.notify_one();
        }
        self.pass_requests_on();
        stopped
    }

    /// Sends heartbeats, so that neither the server nor a firewall closes the connection while it is idle. Returns the
    /// reason when a heartbeat fails.
    async fn until_lost(&self, active: &ActiveConnection) -> StoreError {
        loop {
            sleep(HEARTBEAT_INTERVAL).await;
            if self.dispatcher.is_forked() {
                return StoreError::Forked;
            }
            let deadline = self.settings.deadline.max(HEARTBEAT_INTERVAL);
            if let Err(cause) = heartbeat(active, deadline).await {
                return cause;
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
