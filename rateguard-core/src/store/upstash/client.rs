//! Sends the commands of checks to the connection pool, which runs on a separate thread.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::sync::{
    mpsc::{UnboundedSender, unbounded_channel},
    oneshot, watch,
};

use super::{
    connection::{RestCommand, RestServer},
    pool::{Event, Job, Pool},
    reply::{Failure, RestReply},
};
use crate::store::{
    StoreError,
    connection::{ConnectionLog, ServerLabel},
    io_thread::{IoThread, Task},
};

/// Gives checks access to the connection pool. When the client is dropped, the thread of the pool ends, and all
/// connections close.
pub(super) struct Client {
    events: UnboundedSender<Event>,
    health: watch::Receiver<Option<StoreError>>,
    io_thread: IoThread,
    start: Instant,
    /// The time of the last reply, in milliseconds since `start`. It is 0 if there was no reply.
    last_reply: AtomicU64,
    _log: Task,
    _pool: Task,
}

/// Logs each change of the pool's health.
async fn log_changes(mut health: watch::Receiver<Option<StoreError>>, server: ServerLabel) {
    let mut log = ConnectionLog::new(server);
    while health.changed().await.is_ok() {
        let cause = *health.borrow_and_update();
        match cause {
            None => log.connected(),
            Some(cause) => log.failed(cause, async |_| None).await,
        }
    }
}

impl Client {
    pub(super) fn open(server: RestServer, label: ServerLabel) -> io::Result<Self> {
        let (events, event_receiver) = unbounded_channel();
        // The initial value is an error, because the store is unhealthy until the first connection is open.
        let (health_sender, health) = watch::channel(Some(StoreError::Unreachable(None)));
        let pool = Pool::new(server, events.clone(), health_sender);
        let io_thread = IoThread::start("rateguard-upstash")?;
        let log = Task::spawn(io_thread.handle(), log_changes(health.clone(), label));
        let pool = Task::spawn(io_thread.handle(), pool.run(event_receiver));
        let (start, last_reply) = (Instant::now(), AtomicU64::new(0));
        Ok(Self { events, health, io_thread, start, last_reply, _log: log, _pool: pool })
    }

    /// Sends a command and waits for the reply. If this future is dropped, the pool cancels the command. However, the
    /// server may already have run the command.
    pub(super) async fn send(&self, command: RestCommand) -> Result<RestReply, Failure> {
        let (reply, receiver) = oneshot::channel();
        // If the thread of the pool has ended, the event is dropped. The sender of the reply is a part of the event,
        // so `receiver` then returns an error.
        let _ = self.events.send(Event::Submitted(Job { command, reply }));
        let reply = receiver.await.unwrap_or(Err(StoreError::Unreachable(None)));
        let reply = reply.map_err(Failure::Store)?;
        self.last_reply.store(self.millis().max(1), Relaxed);
        Ok(reply)
    }

    /// Returns true if the server has replied to any command within the last `period`.
    pub(super) fn has_replied_within(&self, period: Duration) -> bool {
        let last = self.last_reply.load(Relaxed);
        last != 0 && Duration::from_millis(self.millis().saturating_sub(last)) < period
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Ends the thread of the pool, and closes all connections.
    pub(super) fn close(&self) {
        self.io_thread.close();
    }

    /// Returns an error in two cases: no connection has been open yet, or there is no open connection and the last
    /// attempt to connect failed.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        self.health.borrow().map_or(Ok(()), Err)
    }
}
