//! The way from a check to the thread of the connections, and back.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use hyper::body::Bytes;
use tokio::sync::{
    mpsc::{UnboundedSender, unbounded_channel},
    oneshot, watch,
};

use super::{
    StoreError,
    connection::Server,
    pool::{Event, Job, Pool},
    reply::{Failure, StoreFuture},
};
use crate::store::io_thread::{IoThread, Task};

/// When it is dropped, the thread and the connections end.
pub(super) struct Client {
    events: UnboundedSender<Event>,
    health: watch::Receiver<Option<StoreError>>,
    home: IoThread,
    start: Instant,
    /// Milliseconds after `start`, when the server last answered a command; 0 if it never has.
    last_answer: AtomicU64,
    _pool: Task,
}

impl Client {
    pub(super) fn open(server: Server) -> io::Result<Self> {
        let (events, happening) = unbounded_channel();
        // Until the first attempt has succeeded.
        let (health, seen) = watch::channel(Some(StoreError::Unreachable));
        let pool = Pool::new(server, events.clone(), health);
        let home = IoThread::start("rateguard-upstash")?;
        let pool = Task::spawn(home.handle(), pool.keep(happening));
        let (start, last_answer) = (Instant::now(), AtomicU64::new(0));
        Ok(Self { events, health: seen, home, start, last_answer, _pool: pool })
    }

    /// The answer to a command. Whoever drops this takes the command back, as far as that is possible.
    pub(super) async fn ask(&self, command: Bytes) -> Result<StoreFuture, Failure> {
        let (answer, answered) = oneshot::channel();
        // If the thread is gone, nobody answers.
        let _ = self.events.send(Event::Asked(Job { command, answer }));
        let answer = answered.await.unwrap_or(Err(StoreError::Unreachable)).map_err(Failure::Of)?;
        self.last_answer.store(self.millis().max(1), Relaxed);
        Ok(answer)
    }

    /// Whether the server has answered a command within this time.
    pub(super) fn has_answered_within(&self, time: Duration) -> bool {
        let last = self.last_answer.load(Relaxed);
        last != 0 && Duration::from_millis(self.millis().saturating_sub(last)) < time
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Ends the thread and the connections.
    pub(super) fn close(&self) {
        self.home.close();
    }

    /// Whether there is a connection, or will be in a moment.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        self.health.borrow().map_or(Ok(()), Err)
    }
}
