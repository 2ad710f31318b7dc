//! The way from a check to the thread of the connections, and back.

use std::io;

use hyper::body::Bytes;
use tokio::sync::{
    mpsc::{UnboundedSender, unbounded_channel},
    oneshot, watch,
};

use super::{
    StoreError,
    connection::Server,
    pool::{Event, Job, Pool},
    reply::{Answer, Failure},
};
use crate::store::home::{Home, Task};

/// When it is dropped, the thread and the connections end.
pub(super) struct Client {
    events: UnboundedSender<Event>,
    health: watch::Receiver<Option<StoreError>>,
    home: Home,
    _pool: Task,
}

impl Client {
    pub(super) fn open(server: Server) -> io::Result<Self> {
        let (events, happening) = unbounded_channel();
        // Until the first attempt has succeeded.
        let (health, seen) = watch::channel(Some(StoreError::Unreachable));
        let pool = Pool::new(server, events.clone(), health);
        let home = Home::start("rateguard-upstash")?;
        let pool = Task::spawn(home.handle(), pool.keep(happening));
        Ok(Self { events, health: seen, home, _pool: pool })
    }

    /// The answer to a command. Whoever drops this takes the command back, as far as that is possible.
    pub(super) async fn ask(&self, command: Bytes) -> Result<Answer, Failure> {
        let (answer, answered) = oneshot::channel();
        // If the thread is gone, nobody answers.
        let _ = self.events.send(Event::Asked(Job { command, answer }));
        answered.await.unwrap_or(Err(StoreError::Unreachable)).map_err(Failure::Of)
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
