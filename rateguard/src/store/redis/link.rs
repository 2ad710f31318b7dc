//! One live connection for all checks, made and mended away from them.
//!
//! A thread with a runtime of its own looks after it. So no request ever connects, a worker that blocks does not stall
//! the others' checks, and a guard works from whatever runtime uses it.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use deadpool::managed::Manager as _;
use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use redis::{AsyncConnectionConfig, ConnectionInfo, Value, aio::MultiplexedConnection};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use crate::{jitter::jittered, store::own_thread::OwnThread};

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
/// How often an idle connection is tested, so that its loss is not found by a request; it also keeps those awake that
/// cut idle connections off.
const TEST_EVERY: Duration = Duration::from_secs(1);
/// A connection that has lived so long was a good one: the next failure is a first one again.
const GOOD_LIFE: Duration = Duration::from_secs(5);

/// The way to Redis. When it is dropped, the thread and the connection end.
pub(super) struct Link {
    state: watch::Receiver<State>,
    reports: Arc<Reports>,
    _thread: OwnThread,
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
    /// The connection of this generation is of no more use.
    fn condemn(&self, generation: u64, cause: StoreError) {
        let mut useless = self.useless.lock().unwrap_or_else(PoisonError::into_inner);
        if useless.is_none_or(|(known, _)| known < generation) {
            *useless = Some((generation, cause));
            self.wake.notify_one();
        }
    }

    /// Why the connection of this generation is of no more use, if it is.
    fn condemned(&self, generation: u64) -> Option<StoreError> {
        // One assignment cannot be left half done.
        let useless = self.useless.lock().unwrap_or_else(PoisonError::into_inner);
        useless.filter(|(known, _)| *known >= generation).map(|(_, cause)| cause)
    }
}

impl Link {
    pub(super) fn open(server: ConnectionInfo, deadline: Duration) -> io::Result<Self> {
        Self::keep(Source::Own(pool(server)?), deadline)
    }

    /// Connects as this pool does, and takes none of its connections: those may live on a worker that blocks.
    pub(super) fn like(pool: Pool, deadline: Duration) -> io::Result<Self> {
        Self::keep(Source::Like(pool), deadline)
    }

    fn keep(source: Source, deadline: Duration) -> io::Result<Self> {
        let (state, states) = watch::channel(State::Connecting);
        let reports = Arc::new(Reports::default());
        let keeper = Keeper { source, deadline, state, reports: Arc::clone(&reports) };
        let thread = OwnThread::run("rateguard-redis", keeper.keep())?;
        Ok(Self { state: states, reports, _thread: thread })
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

    /// Whether there is a live connection.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        match &*self.state.borrow() {
            State::Up(_) => Ok(()),
            State::Down(cause) => Err(*cause),
            State::Connecting => Err(StoreError::Unreachable),
        }
    }

    /// A check failed on the connection of this generation.
    pub(super) fn failed(&self, generation: u64, cause: StoreError) {
        if calls_for_a_new_connection(cause) {
            self.reports.condemn(generation, cause);
        }
    }

    /// A check had no answer in time: the connection should be tested.
    pub(super) fn suspect(&self) {
        self.reports.wake.notify_one();
    }
}

/// The pool makes the connection and replaces it; there is one.
fn pool(server: ConnectionInfo) -> io::Result<Pool> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // Whoever asks has a deadline of its own.
        .set_response_timeout(None)
        // Checks wait for their deadline rather than for room in the queue.
        .set_pipeline_buffer_size(1024);
    let manager = Manager::new_with_config(server, config).map_err(io::Error::other)?;
    Pool::builder(manager).max_size(1).runtime(Runtime::Tokio1).build().map_err(io::Error::other)
}

/// Where connections come from.
enum Source {
    /// Our own pool, which makes and replaces one.
    Own(Pool),
    /// The application's pool, of which only the way to connect is used.
    Like(Pool),
}

impl Source {
    async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        match self {
            // Taken out of the pool, it is closed when the last check lets go of it.
            Self::Own(pool) => {
                let connection = pool.get().await.map_err(|error| why_not_connected(&error))?;
                Ok(Connection::take(connection))
            }
            Self::Like(pool) => {
                let connecting = timeout(CONNECT_TIMEOUT, pool.manager().create()).await;
                let connected = connecting.map_err(|_| StoreError::Unreachable)?;
                connected.map_err(|error| why_not_connected(&PoolError::Backend(error)))
            }
        }
    }
}

struct Keeper {
    source: Source,
    /// An answer later than this is none.
    deadline: Duration,
    state: watch::Sender<State>,
    reports: Arc<Reports>,
}

impl Keeper {
    async fn keep(self) {
        let mut pause = FIRST_PAUSE;
        let mut last_failure = Instant::now();
        for generation in 1.. {
            let cause = match self.source.connect().await {
                Ok(connection) => self.lend(connection, generation).await,
                Err(cause) => cause,
            };
            let was_good = last_failure.elapsed() >= GOOD_LIFE;
            if was_good {
                pause = FIRST_PAUSE;
            }
            if was_good && cause == StoreError::Disconnected {
                // Most likely the server is there, and a new connection a matter of a moment.
                self.state.send_replace(State::Connecting);
            } else {
                self.state.send_replace(State::Down(cause));
                sleep(jittered(pause, 0.25)).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
            last_failure = Instant::now();
        }
    }

    /// Lends the connection to the checks until it is of no more use, and says why.
    async fn lend(&self, connection: MultiplexedConnection, generation: u64) -> StoreError {
        // A server that became a replica answers denials from its copy, and does not say so.
        if let Err(cause) = self.test(connection.clone()).await {
            return cause;
        }
        let live = Live { connection: connection.clone(), generation };
        self.state.send_replace(State::Up(live));
        loop {
            // Until somebody has something to say, or nobody had for a while.
            let _ = timeout(TEST_EVERY, self.reports.wake.notified()).await;
            if let Some(cause) = self.reports.condemned(generation) {
                return cause;
            }
            if let Err(cause) = self.test(connection.clone()).await {
                return cause;
            }
            // Checks that come too late again and again do not make for a test each.
            sleep(FIRST_PAUSE).await;
        }
    }

    /// Whether the connection answers, and leads to a primary. A user who may not ask for the role gets an answer, too.
    async fn test(&self, mut connection: MultiplexedConnection) -> Result<(), StoreError> {
        let role = redis::cmd("ROLE");
        match timeout(self.deadline, role.query_async::<Value>(&mut connection)).await {
            Ok(Ok(role)) if is_replica(&role) => Err(StoreError::NotReady),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => match classify(&error) {
                cause if calls_for_a_new_connection(cause) => Err(cause),
                // It answers, if only to say that it cannot.
                _ => Ok(()),
            },
            Err(_) => Err(StoreError::Timeout),
        }
    }
}

fn is_replica(role: &Value) -> bool {
    let Value::Array(role) = role else { return false };
    let name = match role.first() {
        Some(Value::BulkString(name)) => name.as_slice(),
        Some(Value::SimpleString(name)) => name.as_bytes(),
        _ => b"",
    };
    [b"slave".as_slice(), b"replica"].contains(&name)
}

/// Why the pool has no connection.
fn why_not_connected(error: &PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => match classify(error) {
            // There was no connection that could have been lost.
            StoreError::Timeout | StoreError::Disconnected => StoreError::Unreachable,
            cause => cause,
        },
        _ => StoreError::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_an_old_connection_does_not_condemn_the_new_one() {
        let reports = Reports::default();
        reports.condemn(2, StoreError::Disconnected);
        reports.condemn(1, StoreError::NotReady);
        assert_eq!(reports.condemned(1), Some(StoreError::Disconnected));
        assert_eq!(reports.condemned(2), Some(StoreError::Disconnected));
        assert_eq!(reports.condemned(3), None);
    }

    #[test]
    fn pauses_differ_and_stay_near_what_they_are() {
        let pauses: Vec<_> = (0..100).map(|_| jittered(Duration::from_millis(100), 0.25)).collect();
        assert!(pauses.iter().all(|it| (75..=125).contains(&it.as_millis())), "{pauses:?}");
        assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
