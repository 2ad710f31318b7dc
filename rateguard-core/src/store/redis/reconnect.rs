//! Makes a link's connection, tests it, and makes another when it is of no more use.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use redis::{Value, aio::MultiplexedConnection};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    StoreError,
    connector::Source,
    error::{calls_for_a_new_connection, classify},
    link::{ActiveConnection, HealthReports, State},
};
use crate::{jitter::jittered, store::server_clock::ServerClock};

/// The pause after a first failure; it doubles with each further one.
const INITIAL_BACKOFF: Duration = Duration::from_millis(20);
/// The longest pause, and so about the longest time that a Redis that is back goes unnoticed.
const MAX_BACKOFF: Duration = Duration::from_millis(500);
/// How often an idle connection is tested, so that its loss is not found by a request; it also keeps those awake that
/// cut idle connections off.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A connection that has lived so long was a good one: the next failure is a first one again.
const BACKOFF_RESET_AFTER: Duration = Duration::from_secs(1);

pub(super) struct ConnectionManager {
    pub(super) source: Source,
    /// An answer later than this is none.
    pub(super) deadline: Duration,
    pub(super) state: watch::Sender<State>,
    pub(super) reports: Arc<HealthReports>,
}

impl ConnectionManager {
    pub(super) async fn keep(self) {
        let mut pause = INITIAL_BACKOFF;
        let mut last_failure = Instant::now();
        for generation in 1.. {
            let cause = match self.source.connect().await {
                Ok(connection) => self.serve(connection, generation).await,
                Err(cause) => cause,
            };
            let was_good = last_failure.elapsed() >= BACKOFF_RESET_AFTER;
            if was_good {
                pause = INITIAL_BACKOFF;
            }
            if was_good && cause == StoreError::Disconnected {
                // Most likely the server is there, and a new connection a matter of a moment.
                self.state.send_replace(State::Connecting);
            } else {
                self.state.send_replace(State::Down(cause));
                sleep(jittered(pause, 0.25)).await;
                pause = (2 * pause).min(MAX_BACKOFF);
            }
            last_failure = Instant::now();
        }
    }

    /// Lends the connection to the checks until it is of no more use, and says why.
    async fn serve(&self, connection: MultiplexedConnection, generation: u64) -> StoreError {
        let clock = Arc::new(ServerClock::new());
        let live = ActiveConnection { connection, clock, generation };
        // A server that became a replica answers denials from its copy, and does not say so.
        if let Err(cause) = self.test(&live).await {
            return cause;
        }
        self.state.send_replace(State::Up(live.clone()));
        match select(pin!(self.watch(&live)), pin!(self.source.primary_changed())).await {
            Either::Left((cause, _)) => cause,
            Either::Right(((), _)) => StoreError::NotReady,
        }
    }

    async fn watch(&self, live: &ActiveConnection) -> StoreError {
        loop {
            // Until somebody has something to say, or nobody had for a while.
            let _ = timeout(HEARTBEAT_INTERVAL, self.reports.wake.notified()).await;
            if let Some(cause) = self.reports.condemned(live.generation) {
                return cause;
            }
            if let Err(cause) = self.test(live).await {
                return cause;
            }
            // Checks that come too late again and again do not make for a test each.
            sleep(INITIAL_BACKOFF).await;
        }
    }

    /// Whether the connection answers, and leads to a primary; and what time it is there. A user who may not ask for either
    /// gets an answer, too.
    async fn test(&self, live: &ActiveConnection) -> Result<(), StoreError> {
        let mut connection = live.connection.clone();
        let mut questions = redis::pipe();
        questions.cmd("ROLE").cmd("TIME");
        let sent = std::time::Instant::now();
        let mut asking = pin!(connection.send_packed_commands(&questions, 0, 2));
        let mut answers = timeout(self.deadline, &mut asking).await;
        if answers.is_err() && sent.elapsed() > self.deadline * 5 / 4 {
            // This thread was kept from running, so the answer may be there and is not read yet.
            answers = timeout(self.deadline, asking).await;
        }
        let Ok(answers) = answers else { return Err(StoreError::Timeout) };
        let answers = answers.map_err(|error| classify(&error))?;
        for answer in answers {
            match answer.extract_error() {
                Ok(role) if is_replica(&role) => return Err(StoreError::NotReady),
                Ok(time) => {
                    if let Some(now) = read_time(&time) {
                        live.clock.record_reply(now, sent, false);
                    }
                }
                Err(error) => match classify(&error) {
                    cause if calls_for_a_new_connection(cause) => return Err(cause),
                    // It answers, if only to say that it cannot.
                    _ => {}
                },
            }
        }
        Ok(())
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

/// Seconds and microseconds since 1970, as `TIME` tells them, in microseconds.
fn read_time(time: &Value) -> Option<i64> {
    let Value::Array(time) = time else { return None };
    let [seconds, micros] = time.as_slice() else { return None };
    let read = |value: &Value| redis::from_redis_value_ref::<i64>(value).ok();
    read(seconds)?.checked_mul(1_000_000)?.checked_add(read(micros)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Value {
        Value::Array(texts.iter().map(|it| Value::BulkString(it.as_bytes().to_vec())).collect())
    }

    #[test]
    fn roles_and_times_are_told_apart() {
        assert!(is_replica(&texts(&["slave", "127.0.0.1"])));
        assert!(!is_replica(&texts(&["master", "0"])));
        assert!(!is_replica(&Value::Nil));
        assert_eq!(read_time(&texts(&["1700000000", "42"])), Some(1_700_000_000_000_042));
        assert_eq!(read_time(&texts(&["master", "0"])), None);
        assert_eq!(read_time(&Value::Nil), None);
    }

    #[test]
    fn pauses_differ_and_stay_near_what_they_are() {
        let pauses: Vec<_> = (0..100).map(|_| jittered(Duration::from_millis(100), 0.25)).collect();
        assert!(pauses.iter().all(|it| (75..=125).contains(&it.as_millis())), "{pauses:?}");
        assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
