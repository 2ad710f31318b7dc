//! One live connection to a server for all checks, made and mended away from them.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

use redis::aio::MultiplexedConnection;
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot, watch},
};

use super::{
    StoreError,
    batch_queue::{BatchQueue, PendingRequest, RequestError},
    connector::Source,
    dispatcher::Dispatcher,
    error::calls_for_a_new_connection,
    progress::Progress,
    reconnect::ConnectionManager,
    script_runner::ScriptRunner,
};
use crate::store::{
    io_thread::Task,
    script::{BatchOutcome, ScriptRequest},
    server_clock::ServerClock,
};

/// The way to one server. When it is dropped, the connection ends.
pub(super) struct Link {
    state: watch::Receiver<State>,
    reports: Arc<HealthReports>,
    queue: Arc<BatchQueue>,
    progress: Arc<Progress>,
    _keeper: Task,
    _dispatcher: Task,
}

#[derive(Clone)]
pub(super) enum State {
    /// The first attempt, or the first after a loss, is under way: worth waiting for.
    Connecting,
    Up(ActiveConnection),
    /// The last attempt failed; others follow. Not worth waiting for.
    Down(StoreError),
}

/// A connection that answered when it was last asked.
#[derive(Clone)]
pub(super) struct ActiveConnection {
    pub(super) connection: MultiplexedConnection,
    pub(super) clock: Arc<ServerClock>,
    /// Tells one connection from the next.
    pub(super) generation: u64,
}

/// What checks tell the keeper about the connection.
#[derive(Default)]
pub(super) struct HealthReports {
    /// The newest generation that is of no more use, and why.
    useless: Mutex<Option<(u64, StoreError)>>,
    /// There is something to look at.
    pub(super) wake: Notify,
}

impl HealthReports {
    /// The connection of this generation is of no more use.
    fn mark_broken(&self, generation: u64, cause: StoreError) {
        let mut useless = self.useless.lock().unwrap_or_else(PoisonError::into_inner);
        if useless.is_none_or(|(known, _)| known < generation) {
            *useless = Some((generation, cause));
            self.wake.notify_one();
        }
    }

    /// Why the connection of this generation is of no more use, if it is.
    pub(super) fn condemned(&self, generation: u64) -> Option<StoreError> {
        // One assignment cannot be left half done.
        let useless = self.useless.lock().unwrap_or_else(PoisonError::into_inner);
        useless.filter(|(known, _)| *known >= generation).map(|(_, cause)| cause)
    }
}

impl Link {
    /// Begins to connect.
    pub(super) fn open(
        source: Source,
        deadline: Duration,
        script: Arc<ScriptRunner>,
        home: &Handle,
    ) -> Self {
        let (sender, state) = watch::channel(State::Connecting);
        let (reports, queue) = (Arc::<HealthReports>::default(), Arc::<BatchQueue>::default());
        let progress = Arc::new(Progress::new(deadline));
        let keeper =
            ConnectionManager { source, deadline, state: sender, reports: Arc::clone(&reports) };
        let dispatcher = Dispatcher {
            queue: Arc::clone(&queue),
            script,
            state: state.clone(),
            progress: Arc::clone(&progress),
            is_cluster: AtomicBool::new(false),
        };
        let _keeper = Task::spawn(home, keeper.keep());
        let _dispatcher = Task::spawn(home, dispatcher.run());
        Self { state, reports, queue, progress, _keeper, _dispatcher }
    }

    /// Sends the request with the next batch. The server does nothing for it after the deadline.
    pub(super) async fn send(
        &self,
        request: Arc<ScriptRequest>,
        asked_at: Instant,
        deadline: Instant,
    ) -> Result<BatchOutcome, RequestError> {
        let (answer, answered) = oneshot::channel();
        // In one microsecond, units that were taken before a reset cannot be told from those that were taken after it.
        let no_batching = request.is_reset();
        self.queue.push(PendingRequest { request, no_batching, asked_at, deadline, answer });
        // Without an answer, the connection of its batch is lost.
        answered.await.unwrap_or(Err(RequestError::NoConnection(StoreError::Disconnected)))
    }

    /// Whether a request that was not answered in time is late by our own congestion: the server is there, and answers what it
    /// is sent.
    pub(super) fn is_congested(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(_)) && !self.progress.is_silent()
    }

    /// The live connection. It waits only while one is being made for the first time or after a loss.
    pub(super) async fn live(&self) -> Result<ActiveConnection, StoreError> {
        // The usual case, without a wait.
        if let State::Up(live) = &*self.state.borrow() {
            return Ok(live.clone());
        }
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match settled.as_deref() {
            Ok(State::Up(live)) => Ok(live.clone()),
            Ok(State::Down(cause)) => Err(*cause),
            Ok(State::Connecting) | Err(_) => Err(StoreError::Unreachable),
        }
    }

    /// The connection, if it is there already.
    pub(super) fn live_now(&self) -> Result<ActiveConnection, StoreError> {
        match &*self.state.borrow() {
            State::Up(live) => Ok(live.clone()),
            State::Down(cause) => Err(*cause),
            State::Connecting => Err(StoreError::Unreachable),
        }
    }

    /// A check failed on the connection of this generation.
    pub(super) fn failed(&self, generation: u64, cause: StoreError) {
        if calls_for_a_new_connection(cause) {
            self.reports.mark_broken(generation, cause);
        }
    }

    /// Has the connection tested if what is asked now is given up: most likely, the deadline has passed.
    pub(super) fn watch(&self) -> InFlightGuard<'_> {
        InFlightGuard { reports: &self.reports, is_answered: false }
    }
}

/// A question that is under way.
pub(super) struct InFlightGuard<'a> {
    reports: &'a HealthReports,
    is_answered: bool,
}

impl InFlightGuard<'_> {
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.reports.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_an_old_connection_does_not_condemn_the_new_one() {
        let reports = HealthReports::default();
        reports.mark_broken(2, StoreError::Disconnected);
        reports.mark_broken(1, StoreError::NotReady);
        assert_eq!(reports.condemned(1), Some(StoreError::Disconnected));
        assert_eq!(reports.condemned(2), Some(StoreError::Disconnected));
        assert_eq!(reports.condemned(3), None);
    }
}
