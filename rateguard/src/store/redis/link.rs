//! One live connection for all checks, made and mended away from them.
//!
//! A thread with a runtime of its own looks after it. So no request ever connects, a worker that blocks does not stall
//! the others' checks, and a guard works from whatever runtime uses it.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use futures_util::future;
use redis::{AsyncConnectionConfig, ConnectionInfo, aio::MultiplexedConnection};
use tokio::{
    sync::{Notify, oneshot, watch},
    time::{Instant, sleep},
};

use super::{
    StoreError,
    error::{calls_for_a_new_connection, classify},
};

/// How long it may take to connect, log in and choose the database.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause, and so about the longest time that a Redis that is back goes unnoticed.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A connection that has lived so long was a good one: the next failure is a first one again.
const GOOD_LIFE: Duration = Duration::from_secs(5);

/// The way to Redis. When it is dropped, the thread and the connection end.
pub(super) struct Link {
    state: watch::Receiver<State>,
    reports: Arc<Reports>,
    _end: oneshot::Sender<()>,
}

#[derive(Clone)]
enum State {
    /// The first attempt, or the first after a loss, is under way: worth waiting for.
    Connecting,
    Up(Live),
    /// The last attempt failed; others follow. Not worth waiting for.
    Down(StoreError),
}

/// A connection that answered when it was last asked.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: MultiplexedConnection,
    /// Tells one connection from the next.
    pub(super) generation: u64,
}

/// What checks tell the thread about the connection.
#[derive(Default)]
struct Reports {
    /// The newest generation that is of no more use, and why.
    useless: Mutex<Option<(u64, StoreError)>>,
    /// There is something to look at.
    wake: Notify,
}

impl Reports {
    fn useless(&self) -> MutexGuard<'_, Option<(u64, StoreError)>> {
        // One assignment cannot be left half done.
        self.useless.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    pub(super) fn open(server: ConnectionInfo, deadline: Duration) -> io::Result<Self> {
        let (state, states) = watch::channel(State::Connecting);
        let (end, ended) = oneshot::channel();
        let reports = Arc::new(Reports::default());
        let keeper = Keeper { pool: pool(server, deadline)?, state, reports: Arc::clone(&reports) };
        let (started, starts) = mpsc::channel();
        thread::Builder::new().name("rateguard-redis".to_owned()).spawn(move || {
            // Made here, because a runtime must not be dropped where another one runs.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let _ = started.send(runtime.as_ref().map(|_| ()).map_err(|error| error.kind()));
            if let Ok(runtime) = runtime {
                runtime.block_on(future::select(pin!(keeper.keep()), ended));
            }
        })?;
        // The thread says it as its first thing; if it cannot, it is gone.
        starts.recv().map_err(io::Error::other)??;
        Ok(Self { state: states, reports, _end: end })
    }

    /// The live connection. It waits only while one is being made for the first time or after a loss.
    pub(super) async fn live(&self) -> Result<Live, StoreError> {
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

    /// A check failed on the connection of this generation.
    pub(super) fn failed(&self, generation: u64, cause: StoreError) {
        if calls_for_a_new_connection(cause) {
            let mut useless = self.reports.useless();
            if useless.is_none_or(|(known, _)| known < generation) {
                *useless = Some((generation, cause));
                self.reports.wake.notify_one();
            }
        } else if cause == StoreError::Timeout {
            self.suspect();
        }
    }

    /// A check had no answer in time: the connection should be looked at.
    pub(super) fn suspect(&self) {
        self.reports.wake.notify_one();
    }
}

/// The pool makes, tests and replaces the connection; there is one.
fn pool(server: ConnectionInfo, deadline: Duration) -> io::Result<Pool> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // For the pool's own question whether the connection is alive: an answer later than that would not help.
        .set_response_timeout(Some(deadline))
        // Checks wait for their deadline rather than for room in the queue.
        .set_pipeline_buffer_size(1024);
    let manager = Manager::new_with_config(server, config).map_err(io::Error::other)?;
    Pool::builder(manager).max_size(1).runtime(Runtime::Tokio1).build().map_err(io::Error::other)
}

struct Keeper {
    pool: Pool,
    state: watch::Sender<State>,
    reports: Arc<Reports>,
}

/// What the checks found.
enum Finding {
    /// One had no answer in time; the connection may be well.
    Suspect,
    /// The connection is of no more use.
    Useless(StoreError),
}

impl Keeper {
    async fn keep(self) {
        let mut pause = FIRST_PAUSE;
        let mut born = Instant::now();
        for generation in 1.. {
            // A connection that comes back to the pool is tested here, and replaced if it fails the test.
            let cause = match self.pool.get().await {
                Ok(connection) => match self.lend(&connection, generation).await {
                    Finding::Suspect => continue,
                    Finding::Useless(cause) => {
                        // Taken out of the pool, it is closed when the last check lets go of it.
                        drop(Connection::take(connection));
                        cause
                    }
                },
                Err(error) => cause(&error),
            };
            if born.elapsed() >= GOOD_LIFE {
                pause = FIRST_PAUSE;
                self.state.send_replace(State::Connecting);
            } else {
                self.state.send_replace(State::Down(cause));
                sleep(jittered(pause)).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
            born = Instant::now();
        }
    }

    /// Lends the connection to the checks until one of them has something to say of it.
    async fn lend(&self, connection: &Connection, generation: u64) -> Finding {
        let connection = MultiplexedConnection::clone(connection);
        self.state.send_replace(State::Up(Live { connection, generation }));
        self.reports.wake.notified().await;
        match *self.reports.useless() {
            Some((useless, cause)) if useless >= generation => Finding::Useless(cause),
            _ => Finding::Suspect,
        }
    }
}

/// Why the pool has no connection.
fn cause(error: &PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => match classify(error) {
            // Nobody answered the attempt to connect.
            StoreError::Timeout => StoreError::Unreachable,
            cause => cause,
        },
        _ => StoreError::Unreachable,
    }
}

/// A pause up to a quarter shorter or longer, so that many servers do not come back at the same moment.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(pause) as f64 / u64::MAX as f64;
    pause.mul_f64(0.75 + random / 2.0)
}
