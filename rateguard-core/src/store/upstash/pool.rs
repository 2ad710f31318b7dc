//! The connections: as many as are in use at once, up to a bound, and one that is ready.
//!
//! None is made on a request's way, though a request may wait for one. So a check that is given up takes back its request
//! and not the connection that others wait for, and a server that is farther away than a deadline is reached all the same.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::future::{Either, select};
use hyper::body::Bytes;
use tokio::{
    spawn,
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender},
        oneshot, watch,
    },
    time::{Instant, sleep},
};

use super::{
    StoreError,
    connection::{BatchOutcome, Connection, Driver, Server},
    reply::StoreFuture,
};
use crate::jitter::jittered;

/// With 5 ms for a check, enough for some ten thousand in a second.
const MAX_CONNECTIONS: usize = 64;
/// The pause after a first failure to connect; it doubles with each further one.
const INITIAL_BACKOFF: Duration = Duration::from_millis(20);
/// The longest pause, and so about the longest time that a server that is back goes unnoticed.
const MAX_BACKOFF: Duration = Duration::from_millis(500);
/// A connection that ends sooner and without an answer is a failure to connect.
const BACKOFF_RESET_AFTER: Duration = Duration::from_secs(5);
/// Servers close connections on which nothing happens, load balancers after a minute: we do it before them, so that no
/// request crosses with that.
const LONGEST_IDLE: Duration = Duration::from_secs(45);
/// For so long a connection is known to be good that has just had an answer.
const KNOWN_GOOD: Duration = Duration::from_secs(1);
/// How often it is looked for those that are idle for too long.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// A command, and who waits for the answer to it.
pub(super) struct Job {
    pub(super) command: Bytes,
    pub(super) answer: oneshot::Sender<Result<StoreFuture, StoreError>>,
}

/// What happens.
pub(super) enum Event {
    /// Somebody asks, or asks again because nothing was sent.
    Asked(Job),
    Connected(Connection, Driver),
    NotConnected(StoreError),
    /// A command was answered.
    Answered,
    /// And the connection is there for the next, if it is good for one.
    Free(Option<Connection>),
    /// A connection is closed.
    Closed {
        was_good: bool,
    },
    /// A command had no answer in time.
    Suspected,
    /// It may be tried again to connect.
    PauseOver,
    Sweep,
}

pub(super) struct Pool {
    server: Arc<Server>,
    events: UnboundedSender<Event>,
    /// The one that was used last is the last, so that those that are not needed grow old.
    idle: Vec<Connection>,
    waiting: VecDeque<Job>,
    open: usize,
    connecting: usize,
    /// Those that will be free in a moment.
    finishing: usize,
    /// Why there is no connection, if the last attempt failed. Not worth waiting for the next one.
    down: Option<StoreError>,
    is_pausing: bool,
    pause: Duration,
    /// Why there is no connection, for others.
    health: watch::Sender<Option<StoreError>>,
}

impl Pool {
    pub(super) fn new(
        server: Server,
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
            is_pausing: false,
            pause: INITIAL_BACKOFF,
            health,
        }
    }

    /// Goes on until it is dropped.
    pub(super) async fn keep(mut self, mut events: UnboundedReceiver<Event>) {
        self.connect_if_needed();
        self.later(SWEEP_EVERY, Event::Sweep);
        while let Some(event) = events.recv().await {
            self.on(event);
            self.serve_waiting();
            self.connect_if_needed();
        }
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Asked(job) => match self.down {
                Some(cause) if self.open == 0 => {
                    let _ = job.answer.send(Err(cause));
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
            Event::NotConnected(cause) => {
                self.connecting -= 1;
                self.failed(cause);
            }
            Event::Answered => {
                self.finishing += 1;
                self.pause = INITIAL_BACKOFF;
            }
            Event::Free(connection) => {
                self.finishing -= 1;
                self.idle.extend(connection);
            }
            Event::Closed { was_good } => {
                self.open -= 1;
                self.idle.retain(|connection| !connection.is_closed());
                if !was_good {
                    self.failed(StoreError::Disconnected);
                }
            }
            // Others may be as dead as the one that it was sent on, and each would cost another check its deadline.
            Event::Suspected => self.keep_idle_for(KNOWN_GOOD),
            Event::PauseOver => self.is_pausing = false,
            Event::Sweep => {
                self.keep_idle_for(LONGEST_IDLE);
                self.later(SWEEP_EVERY, Event::Sweep);
            }
        }
    }

    fn keep_idle_for(&mut self, longest: Duration) {
        self.idle.retain(|connection| connection.idle_since.elapsed() < longest);
    }

    /// An attempt came to nothing.
    fn failed(&mut self, cause: StoreError) {
        if self.open == 0 {
            self.down = Some(cause);
            self.health.send_replace(Some(cause));
            for job in self.waiting.drain(..) {
                let _ = job.answer.send(Err(cause));
            }
        }
        if !self.is_pausing {
            self.is_pausing = true;
            self.later(jittered(self.pause, 0.25), Event::PauseOver);
            self.pause = (2 * self.pause).min(MAX_BACKOFF);
        }
    }

    fn serve_waiting(&mut self) {
        loop {
            // Whoever has gone needs no connection.
            while self.waiting.front().is_some_and(|job| job.answer.is_closed()) {
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

    /// One that is ready, and one for each who waits. There are no more attempts than connections, so that a crowd that waits
    /// for a server does not connect all at once when it is there.
    fn connect_if_needed(&mut self) {
        loop {
            let may_connect = !self.is_pausing
                && self.open + self.connecting < MAX_CONNECTIONS
                && self.connecting < self.open.max(1);
            let waiting = self.waiting.len().saturating_sub(self.finishing);
            let needed = waiting.max(usize::from(self.open == 0));
            if !may_connect || self.connecting >= needed {
                return;
            }
            self.connecting += 1;
            let (server, events) = (Arc::clone(&self.server), self.events.clone());
            spawn(async move {
                let _ = events.send(match server.connect().await {
                    Ok((connection, driver)) => Event::Connected(connection, driver),
                    Err(cause) => Event::NotConnected(cause),
                });
            });
        }
    }

    fn drive(&self, connection: &Connection, driver: Driver) {
        let (was_good, events) = (Arc::clone(&connection.was_good), self.events.clone());
        let start = Instant::now();
        spawn(async move {
            driver.await;
            let was_good = was_good.load(Relaxed) || start.elapsed() >= BACKOFF_RESET_AFTER;
            let _ = events.send(Event::Closed { was_good });
        });
    }

    fn later(&self, after: Duration, event: Event) {
        let events = self.events.clone();
        spawn(async move {
            sleep(after).await;
            let _ = events.send(event);
        });
    }
}

/// Does a job, unless nobody waits for its answer any more.
async fn serve(
    server: Arc<Server>,
    job: Job,
    connection: Connection,
    events: UnboundedSender<Event>,
) {
    let Job { command, mut answer } = job;
    let was_good = Arc::clone(&connection.was_good);
    let exchange = pin!(server.exchange(command.clone(), connection));
    let outcome = match select(exchange, pin!(answer.closed())).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => {
            // What it would have answered is not known.
            was_good.store(true, Relaxed);
            let _ = events.send(Event::Suspected);
            return;
        }
    };
    match outcome {
        BatchOutcome::Answered(said, connection) => {
            // Before whoever hears the answer can ask again.
            let _ = events.send(Event::Answered);
            let _ = answer.send(Ok(said));
            let _ = events.send(Event::Free(connection.ready().await));
        }
        BatchOutcome::Unsent => {
            let _ = events.send(Event::Asked(Job { command, answer }));
        }
        BatchOutcome::Failed(cause) => {
            let _ = answer.send(Err(cause));
        }
    }
}
