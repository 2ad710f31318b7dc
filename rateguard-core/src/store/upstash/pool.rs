//! The pool of connections to an Upstash server. It has one connection for each concurrent command, but at least one
//! connection and at most [`MAX_CONNECTIONS`].
//!
//! The pool opens each connection in a separate task. If a check is cancelled, the attempt to connect therefore
//! continues, because other checks may wait for the connection. An attempt to connect may also take longer than the
//! deadline of a check.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::future::{Either, select};
use tokio::{
    spawn,
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender},
        oneshot, watch,
    },
    time::{Instant, sleep},
};

use super::{
    connection::{Connection, Driver, ExchangeOutcome, RestCommand, RestServer},
    reply::RestReply,
};
use crate::{
    backoff::Backoff,
    store::{StoreError, io_thread::CONNECT_BACKOFF},
};

/// The maximum number of connections. If each check takes 5 ms, 64 connections are sufficient for about 10,000 checks
/// per second.
const MAX_CONNECTIONS: usize = 64;
/// If a connection closes before this age and has received no reply, the loss counts as a failure to connect.
const BACKOFF_RESET_AFTER: Duration = Duration::from_secs(5);
/// The time after which the pool closes an idle connection. Load balancers close idle connections after about 60 s.
/// The pool closes them earlier, so it does not send a command on a connection that the load balancer is closing.
const MAX_IDLE: Duration = Duration::from_secs(45);
/// After a command was cancelled, the pool closes each connection that has been idle for at least this time.
const RECENT_REPLY: Duration = Duration::from_secs(1);
/// The interval at which the pool closes connections that have been idle for [`MAX_IDLE`].
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// A command, and the sender for its reply.
pub(super) struct Job {
    pub(super) command: RestCommand,
    pub(super) reply: oneshot::Sender<Result<RestReply, StoreError>>,
}

/// The events that the pool handles.
pub(super) enum Event {
    /// A check submits a new command, or a command returns to the pool because no part of it was sent.
    Submitted(Job),
    Connected(Connection, Driver),
    ConnectFailed(StoreError),
    /// A command has its reply, and the connection will soon be ready for the next command. The event
    /// [`Released`](Self::Released) follows.
    Replied,
    /// The connection is ready for the next command. The value is `None` if the connection cannot be used again.
    Released(Option<Connection>),
    /// A connection has closed.
    Closed {
        was_useful: bool,
    },
    /// A check cancelled its command before the reply arrived, probably because the deadline expired.
    Cancelled,
    /// The backoff has ended, so the next attempt to connect may start.
    BackoffElapsed,
    Sweep,
}

pub(super) struct Pool {
    server: Arc<RestServer>,
    events: UnboundedSender<Event>,
    /// The idle connections. The most recently used connection is the last one, and the pool uses it first.
    /// Connections that are not needed therefore reach [`MAX_IDLE`] and are closed.
    idle: Vec<Connection>,
    waiting: VecDeque<Job>,
    open: usize,
    connecting: usize,
    /// The number of connections for which the pool has handled [`Event::Replied`] but not yet [`Event::Released`].
    /// Waiting commands can soon use these connections.
    finishing: usize,
    /// The cause of the last failure if there is no open connection. While there is a cause, new commands fail
    /// immediately.
    down: Option<StoreError>,
    is_backing_off: bool,
    backoff: Backoff,
    /// A copy of `down` for the client. Until the first connection is open, `health` has an error even if `down` has
    /// none.
    health: watch::Sender<Option<StoreError>>,
}

impl Pool {
    pub(super) fn new(
        server: RestServer,
        events: UnboundedSender<Event>,
        health: watch::Sender<Option<StoreError>>,
    ) -> Self {
        Self {
            server: Arc::new(server),
            events,
            idle: Vec::new(),
            waiting: VecDeque::new(),
            open: 0,
            connecting: 0,
            finishing: 0,
            down: None,
            is_backing_off: false,
            backoff: CONNECT_BACKOFF,
            health,
        }
    }

    /// Handles all events of the pool until this future is dropped.
    pub(super) async fn run(mut self, mut events: UnboundedReceiver<Event>) {
        self.connect_if_needed();
        self.schedule(SWEEP_INTERVAL, Event::Sweep);
        while let Some(event) = events.recv().await {
            self.handle(event);
            self.serve_waiting();
            self.connect_if_needed();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Submitted(job) => match self.down {
                Some(cause) if self.open == 0 => {
                    let _ = job.reply.send(Err(cause));
                }
                _ => self.waiting.push_back(job),
            },
            Event::Connected(connection, driver) => {
                self.connecting -= 1;
                self.open += 1;
                self.down = None;
                self.health.send_replace(None);
                self.drive(&connection, driver);
                self.idle.push(connection);
            }
            Event::ConnectFailed(cause) => {
                self.connecting -= 1;
                self.back_off(cause);
            }
            Event::Replied => {
                self.finishing += 1;
                self.backoff = CONNECT_BACKOFF;
            }
            Event::Released(connection) => {
                self.finishing -= 1;
                self.idle.extend(connection);
            }
            Event::Closed { was_useful } => {
                self.open -= 1;
                self.idle.retain(|connection| !connection.is_closed());
                if !was_useful {
                    self.back_off(StoreError::Disconnected(None));
                }
            }
            // The command probably had no reply because its connection was dead, and idle connections may also be
            // dead. Each dead connection would make another check exceed its deadline, so close all idle connections
            // that have no recent reply.
            Event::Cancelled => self.close_idle_for(RECENT_REPLY),
            Event::BackoffElapsed => self.is_backing_off = false,
            Event::Sweep => {
                self.close_idle_for(MAX_IDLE);
                self.schedule(SWEEP_INTERVAL, Event::Sweep);
            }
        }
    }

    /// Closes all connections that have been idle for at least `max_idle`.
    fn close_idle_for(&mut self, max_idle: Duration) {
        self.idle.retain(|connection| connection.idle_since.elapsed() < max_idle);
    }

    /// Delays the next attempt to connect after a failure. If there is no open connection, all waiting commands fail
    /// immediately.
    fn back_off(&mut self, cause: StoreError) {
        if self.open == 0 {
            self.down = Some(cause);
            self.health.send_replace(Some(cause));
            for job in self.waiting.drain(..) {
                let _ = job.reply.send(Err(cause));
            }
        }
        if !self.is_backing_off {
            self.is_backing_off = true;
            let delay = self.backoff.next_delay();
            self.schedule(delay, Event::BackoffElapsed);
        }
    }

    /// Sends waiting commands on idle connections, and drops commands that are cancelled.
    fn serve_waiting(&mut self) {
        loop {
            while self.waiting.front().is_some_and(|job| job.reply.is_closed()) {
                self.waiting.pop_front();
            }
            self.idle.retain(|connection| !connection.is_closed());
            if self.waiting.is_empty() || self.idle.is_empty() {
                return;
            }
            if let (Some(job), Some(connection)) = (self.waiting.pop_front(), self.idle.pop()) {
                spawn(serve(Arc::clone(&self.server), job, connection, self.events.clone()));
            }
        }
    }

    /// Opens connections until there is one connection for each waiting command, and at least one connection.
    ///
    /// The number of concurrent attempts to connect is at most the number of open connections, or 1 if there is no
    /// open connection. When the server becomes available again, the pool therefore does not open many connections at
    /// the same time.
    fn connect_if_needed(&mut self) {
        loop {
            let may_connect = !self.is_backing_off
                && self.open + self.connecting < MAX_CONNECTIONS
                && self.connecting < self.open.max(1);
            let waiting = self.waiting.len().saturating_sub(self.finishing);
            let needed = waiting.max(usize::from(self.open == 0));
            if !may_connect || self.connecting >= needed {
                return;
            }
            self.connecting += 1;
            let (server, events) = (Arc::clone(&self.server), self.events.clone());
            // While the store is healthy, the server has accepted the token, so there is nothing to verify.
            let verify = self.health.borrow().is_some();
            spawn(async move {
                let _ = events.send(match server.connect(verify).await {
                    Ok((connection, driver)) => Event::Connected(connection, driver),
                    Err(cause) => Event::ConnectFailed(cause),
                });
            });
        }
    }

    fn drive(&self, connection: &Connection, driver: Driver) {
        let (was_useful, events) = (Arc::clone(&connection.was_useful), self.events.clone());
        let start = Instant::now();
        spawn(async move {
            driver.await;
            let was_useful = was_useful.load(Relaxed) || start.elapsed() >= BACKOFF_RESET_AFTER;
            let _ = events.send(Event::Closed { was_useful });
        });
    }

    fn schedule(&self, delay: Duration, event: Event) {
        let events = self.events.clone();
        spawn(async move {
            sleep(delay).await;
            let _ = events.send(event);
        });
    }
}

/// Sends the command of a job on a connection, and waits until the job is complete or cancelled.
async fn serve(
    server: Arc<RestServer>,
    job: Job,
    connection: Connection,
    events: UnboundedSender<Event>,
) {
    let Job { command, mut reply } = job;
    let was_useful = Arc::clone(&connection.was_useful);
    let exchange = pin!(server.exchange(command.clone(), connection));
    let outcome = match select(exchange, pin!(reply.closed())).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => {
            // A cancelled command closes its connection. This loss must not count as a failure to connect.
            was_useful.store(true, Relaxed);
            let _ = events.send(Event::Cancelled);
            return;
        }
    };
    match outcome {
        ExchangeOutcome::Replied(rest_reply, connection) => {
            // Send this event before the reply. Otherwise the same caller might send its next command before the pool
            // handles the event, and the pool might open another connection for this command.
            let _ = events.send(Event::Replied);
            let _ = reply.send(Ok(rest_reply));
            let _ = events.send(Event::Released(connection.ready().await));
        }
        ExchangeOutcome::Unsent => {
            let _ = events.send(Event::Submitted(Job { command, reply }));
        }
        ExchangeOutcome::Failed(cause) => {
            let _ = reply.send(Err(cause));
        }
    }
}
