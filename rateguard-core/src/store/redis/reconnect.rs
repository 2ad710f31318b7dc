//! Opens the connection of a link, and tests the connection with heartbeats. If the connection is lost, connects
//! again with a backoff.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, join, select};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    connector::Source,
    diagnosis::diagnose,
    health_reports::HealthReports,
    heartbeat::heartbeat,
    heartbeat_interval::HEARTBEAT_INTERVAL,
    link_state::{ActiveConnection, LinkState},
    script_log::ScriptLog,
    script_runner::ScriptRunner,
    script_test::TestResult,
};
use crate::store::{
    StoreError,
    connection::{ConnectionLog, ServerLabel},
    io_thread::CONNECT_BACKOFF,
    server_clock::ServerClock,
};

/// If there was no failure for this time, the next backoff starts again with the initial delay.
const BACKOFF_RESET_AFTER: Duration = Duration::from_secs(1);
/// The minimum time between two heartbeats.
const MIN_HEARTBEAT_INTERVAL: Duration = Duration::from_millis(20);

pub(super) struct ConnectionManager {
    pub(super) source: Source,
    /// The maximum time that the server may need to reply to a heartbeat.
    pub(super) deadline: Duration,
    pub(super) state: watch::Sender<LinkState>,
    pub(super) reports: Arc<HealthReports>,
    pub(super) script: Arc<ScriptRunner>,
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
        heartbeat(&live, self.deadline).await?;
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
        match select(pin!(self.monitor(&live, script_log)), pin!(self.source.primary_changed()))
            .await
        {
            Either::Left((cause, _)) => cause,
            Either::Right(((), _)) => StoreError::NotReady(None),
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
            if let Err(cause) = heartbeat(live, self.deadline).await {
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
}
