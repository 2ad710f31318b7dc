//! Opens the connection of a link, and tests the connection with heartbeats. If the connection is lost, connects
//! again with a backoff.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, join, select};
use redis::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    batch_queue::BatchQueue,
    connector::Source,
    diagnosis::diagnose,
    error::{classify, needs_reconnect},
    health_reports::HealthReports,
    heartbeat::HEARTBEAT_INTERVAL,
    link_state::{ActiveConnection, LinkState},
    script_log::ScriptLog,
    script_runner::ScriptRunner,
    script_test::TestResult,
    worker_connections::WorkerConnections,
};
use crate::store::{
    StoreError,
    connection::{ConnectionLog, ServerLabel},
    error::NotReadyCause,
    io_thread::CONNECT_BACKOFF,
    server_clock::ServerClock,
};

/// If there was no failure for this time, the next backoff starts again with the initial delay.
const BACKOFF_RESET_AFTER: Duration = Duration::from_secs(1);
/// The minimum time between two heartbeats.
const MIN_HEARTBEAT_INTERVAL: Duration = Duration::from_millis(20);

/// The dispatcher on the I/O thread takes over the requests of a worker that has not run for this time.
const STALL_TEST_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct ConnectionManager {
    pub(super) source: Source,
    /// The maximum time that the server may need to reply to a heartbeat.
    pub(super) deadline: Duration,
    pub(super) state: watch::Sender<LinkState>,
    pub(super) reports: Arc<HealthReports>,
    pub(super) script: Arc<ScriptRunner>,
    pub(super) workers: Arc<WorkerConnections>,
    /// The queue of the dispatcher on the I/O thread.
    pub(super) shared: Arc<BatchQueue>,
}

impl ConnectionManager {
    pub(super) async fn run(self) {
        let mut log = ConnectionLog::new(self.source.label());
        let mut script_log = ScriptLog::new(self.source.label().text);
        let mut backoff = CONNECT_BACKOFF;
        let mut last_failure = Instant::now();
        for generation in 1.. {
            let opened = self.open(generation).await;
            let was_rejected = opened.is_err();
            let cause = match opened {
                Ok(live) => self.serve(live, &mut log, &mut script_log).await,
                Err(cause) => cause,
            };
            let was_stable = last_failure.elapsed() >= BACKOFF_RESET_AFTER;
            if was_stable {
                backoff = CONNECT_BACKOFF;
            }
            if was_stable && matches!(cause, StoreError::Disconnected(_)) {
                // The server is probably available, so connect again without a delay.
                self.state.send_replace(LinkState::Connecting);
            } else {
                self.state.send_replace(LinkState::Down(cause));
                // The message may need a DNS query and a new connection, which run during the backoff. The query is fast,
                // because it follows a query that did not time out.
                let diagnosis = async |server: &ServerLabel| {
                    if was_rejected { diagnose(cause, server).await } else { None }
                };
                join(sleep(backoff.next_delay()), log.failed(cause, diagnosis)).await;
            }
            last_failure = Instant::now();
        }
    }

    /// Opens a connection and sends the first heartbeat.
    async fn open(&self, generation: u64) -> Result<ActiveConnection, StoreError> {
        let endpoint = self.source.endpoint().await?;
        let connection = endpoint.connect().await?;
        let clock = Arc::new(ServerClock::new());
        let live = ActiveConnection { connection, endpoint, clock, generation };
        // Send a heartbeat before any check uses the connection, because the server may be a replica. A replica would
        // return denials instead of an error, because the script writes nothing for a denial.
        self.heartbeat(&live).await?;
        Ok(live)
    }

    /// Lets checks use the connection until it is broken. Returns the reason why it is broken.
    async fn serve(
        &self,
        live: ActiveConnection,
        log: &mut ConnectionLog,
        script_log: &mut ScriptLog,
    ) -> StoreError {
        log.connected();
        self.state.send_replace(LinkState::Up(live.clone()));
        let monitor = pin!(self.monitor(&live, script_log));
        let stalled = pin!(self.serve_stalled());
        match select(select(monitor, stalled), pin!(self.source.primary_changed())).await {
            Either::Left((Either::Left((cause, _)), _)) => cause,
            Either::Left((Either::Right(_), _)) | Either::Right(_) => StoreError::NotReady(None),
        }
    }

    /// Passes the requests of stalled workers to the dispatcher on the I/O thread. Never returns.
    async fn serve_stalled(&self) {
        loop {
            sleep(STALL_TEST_INTERVAL).await;
            self.shared.push_all(self.workers.stalled_requests());
        }
    }

    /// Tests the script, and sends heartbeats until the connection is broken. Returns the reason why it is broken.
    ///
    /// Checks use the connection during the test, because the test must not delay the first of them. While the server
    /// cannot run the script, the test is repeated after each heartbeat, so the guard notices when an operator has
    /// corrected the server.
    async fn monitor(&self, live: &ActiveConnection, script_log: &mut ScriptLog) -> StoreError {
        let mut is_first = true;
        loop {
            if is_first || self.reports.script_failure(live.generation).is_some() {
                self.test_script(live, script_log).await;
                is_first = false;
            }
            let _ = timeout(HEARTBEAT_INTERVAL, self.reports.wake.notified()).await;
            if let Some(cause) = self.reports.broken_cause(live.generation) {
                return cause;
            }
            if let Err(cause) = self.heartbeat(live).await {
                return cause;
            }
            // Wait before the next heartbeat, because each check that exceeds its deadline requests a heartbeat.
            sleep(MIN_HEARTBEAT_INTERVAL).await;
        }
    }

    /// Tests whether the server runs the script. If the test has no result in time, the last result stays.
    async fn test_script(&self, live: &ActiveConnection, log: &mut ScriptLog) {
        let ScriptRunner { command, test } = &*self.script;
        let result = timeout(self.deadline, test.run(command, &live.connection)).await;
        let Ok(TestResult { failure, is_role_denied }) = result else { return };
        self.reports.record_script(live.generation, failure.as_ref().map(|it| it.cause));
        log.tested(failure, is_role_denied);
    }

    /// Sends `ROLE` and `TIME`. Tests that the server replies, and that it is neither a replica nor a sentinel. Also records
    /// the time of the server. The Redis user may lack the permission for these commands, so most error replies are also accepted. The
    /// test fails only for an error that needs a new connection.
    async fn heartbeat(&self, live: &ActiveConnection) -> Result<(), StoreError> {
        let mut connection = live.connection.clone();
        let mut commands = redis::pipe();
        commands.cmd("ROLE").cmd("TIME");
        let sent = std::time::Instant::now();
        let mut request = pin!(connection.send_packed_commands(&commands, 0, 2));
        let mut replies = timeout(self.deadline, &mut request).await;
        if replies.is_err() && sent.elapsed() > self.deadline * 5 / 4 {
            // This thread was stalled, so some replies may have arrived that it has not read yet. Wait once more.
            replies = timeout(self.deadline, request).await;
        }
        let Ok(replies) = replies else { return Err(StoreError::Timeout) };
        let replies = replies.map_err(|error| classify(&error))?;
        for reply in replies {
            match reply.extract_error() {
                Ok(role) if has_role(&role, &["slave", "replica"]) => {
                    return Err(StoreError::NotReady(Some(NotReadyCause::Replica)));
                }
                Ok(role) if has_role(&role, &["sentinel"]) => {
                    return Err(StoreError::WrongServerKind);
                }
                Ok(time) => {
                    if let Some(now) = parse_time(&time) {
                        live.clock.record_reply(now, sent, false);
                    }
                }
                Err(error) => {
                    let cause = classify(&error);
                    if needs_reconnect(cause) {
                        return Err(cause);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns true if the reply to the command `ROLE` begins with one of these names.
fn has_role(reply: &Value, names: &[&str]) -> bool {
    let Value::Array(reply) = reply else { return false };
    let name = match reply.first() {
        Some(Value::BulkString(name)) => name.as_slice(),
        Some(Value::SimpleString(name)) => name.as_bytes(),
        _ => b"",
    };
    names.iter().any(|it| it.as_bytes() == name)
}

/// Converts the reply to the command `TIME` into microseconds since 1970.
fn parse_time(time: &Value) -> Option<i64> {
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
    fn heartbeat_replies_are_parsed() {
        let replica = ["slave", "replica"];
        assert!(has_role(&texts(&["slave", "127.0.0.1"]), &replica));
        assert!(!has_role(&texts(&["master", "0"]), &replica));
        assert!(has_role(&texts(&["sentinel"]), &["sentinel"]));
        assert!(!has_role(&Value::Nil, &replica));
        assert_eq!(parse_time(&texts(&["1700000000", "42"])), Some(1_700_000_000_000_042));
        assert_eq!(parse_time(&texts(&["master", "0"])), None);
        assert_eq!(parse_time(&Value::Nil), None);
    }
}
