//! Logs when the connection to a server fails, and when the guard has connected. Operators therefore see a wrong
//! address or password when the application starts, before the first request. The messages contain no user, no password
//! and no error text from the server.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use super::{
    label::ServerLabel,
    reason::{describe, io_kind},
};
use crate::StoreError;

/// The minimum time between two messages about a failure. It also applies if the guard has connected between the two
/// failures, so a connection that breaks again and again causes at most one pair of messages in this time.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// The messages about the connection to one server. The last message is always about the current state, except that a
/// message about a failure may come up to [`MIN_INTERVAL`] late.
///
/// A failure is logged if the last message did not report the same failure, and if the last message about a failure is
/// at least [`MIN_INTERVAL`] old. Each attempt to connect that fails calls [`failed`](Self::failed) again, so a failure
/// that is not logged at first is logged later if it continues.
pub(in crate::store) struct ConnectionLog {
    server: ServerLabel,
    last: LastMessage,
    /// Whether the guard has connected since the last failure. `last` does not show this, because not every failure is
    /// logged.
    is_open: bool,
    /// The time of the last message about a failure.
    failure_logged_at: Option<Instant>,
}

/// The content of the last message.
#[derive(PartialEq, Eq)]
enum LastMessage {
    NoMessage,
    Connected,
    /// The message said that the connection failed because of `cause`. `kind` is the kind of its I/O error.
    Failed {
        cause: StoreError,
        kind: Option<ErrorKind>,
    },
}

impl ConnectionLog {
    pub(in crate::store) fn new(server: ServerLabel) -> Self {
        Self { server, last: LastMessage::NoMessage, is_open: false, failure_logged_at: None }
    }

    /// Logs that the server is available, unless the last message already said so.
    pub(in crate::store) fn connected(&mut self) {
        if self.record_connected() {
            log::info!(target: "rateguard", "connected to {}", self.server.text);
        }
    }

    /// Logs that an attempt to connect failed, or that an open connection broke. Logs nothing if the last message
    /// already had this cause, or if the last message about a failure is less than [`MIN_INTERVAL`] old. If the message
    /// is logged and the label has the address of the server, `diagnose` may return a more precise reason than the
    /// cause.
    pub(in crate::store) async fn failed(
        &mut self,
        cause: StoreError,
        diagnose: impl AsyncFnOnce(&ServerLabel) -> Option<&'static str>,
    ) {
        let kind = io_kind(cause);
        let was_open = self.is_open;
        if !self.record_failure(cause, kind, Instant::now()) {
            return;
        }
        // A refused connection shows that the name was resolved. After a timeout, the DNS may be slow, so another query
        // could delay the next attempt to connect.
        let may_be_unresolved = matches!(cause, StoreError::Unreachable(_))
            && !matches!(kind, Some(ErrorKind::ConnectionRefused | ErrorKind::TimedOut));
        let unresolved_host =
            if may_be_unresolved { self.server.unresolved_host().await } else { None };
        let reason = if let Some(host) = unresolved_host {
            // A host of a cluster comes from the network. A control character in it could forge a line of the log.
            let host = host.escape_debug();
            format!("the host name `{host}` cannot be resolved; check the URL and the DNS")
        } else if self.server.is_server_address
            && let Some(diagnosis) = diagnose(&self.server).await
        {
            diagnosis.to_owned()
        } else {
            describe(cause, was_open, &self.server)
        };
        log::error!(
            target: "rateguard",
            "connection to {} failed: {reason}. The guard tries again; until it connects, the failure mode of each policy applies",
            self.server.text
        );
    }

    /// Records that the server is available. Returns true if the caller must log it.
    fn record_connected(&mut self) -> bool {
        let is_new = self.last != LastMessage::Connected;
        self.last = LastMessage::Connected;
        self.is_open = true;
        is_new
    }

    /// Records a failure. Returns true if the caller must log it.
    fn record_failure(&mut self, cause: StoreError, kind: Option<ErrorKind>, now: Instant) -> bool {
        self.is_open = false;
        let message = LastMessage::Failed { cause, kind };
        let is_soon =
            self.failure_logged_at.is_some_and(|at| now.duration_since(at) < MIN_INTERVAL);
        if is_soon || self.last == message {
            return false;
        }
        self.last = message;
        self.failure_logged_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connection::{Advice, Login};

    const SECOND: Duration = Duration::from_secs(1);
    const CLOSED: StoreError = StoreError::Disconnected(None);

    fn log() -> ConnectionLog {
        static ADVICE: Advice =
            Advice { closed: "", authentication: "", missing_login: "", invalid_reply: "" };
        ConnectionLog::new(ServerLabel {
            text: String::new(),
            advice: &ADVICE,
            has_tls: false,
            login: Login::Missing,
            is_socket: false,
            is_server_address: true,
            addresses: Vec::new(),
            pool: 0,
        })
    }

    #[tokio::test]
    async fn addresses_of_sentinels_and_of_cluster_nodes_are_not_diagnosed() {
        for is_server_address in [true, false] {
            let mut log = log();
            log.server.is_server_address = is_server_address;
            let mut is_diagnosed = false;
            let diagnose = async |_: &ServerLabel| {
                is_diagnosed = true;
                None
            };
            log.failed(CLOSED, diagnose).await;
            assert_eq!(is_diagnosed, is_server_address);
        }
    }

    #[test]
    fn connection_that_flaps_logs_one_pair_in_ten_seconds() {
        let (mut log, start) = (log(), Instant::now());
        assert!(log.record_connected());
        let mut logged = Vec::new();
        for tenth in 0..=300 {
            let now = start + tenth * SECOND / 10;
            if log.record_failure(CLOSED, None, now) {
                logged.push((tenth, "failed"));
            }
            if log.record_connected() {
                logged.push((tenth, "connected"));
            }
        }
        let pair = |tenth| [(tenth, "failed"), (tenth, "connected")];
        assert_eq!(logged, [0, 100, 200, 300].map(pair).concat());
    }

    #[test]
    fn last_state_of_a_connection_that_flaps_is_logged() {
        let (mut log, start) = (log(), Instant::now());
        assert!(log.record_failure(CLOSED, None, start));
        assert!(log.record_connected());
        // The connection breaks within the ten seconds, and stays broken.
        let logged = |second: &u32| log.record_failure(CLOSED, None, start + *second * SECOND);
        assert_eq!((1..30).filter(logged).collect::<Vec<_>>(), [10]);
        assert!(log.record_connected());
    }

    #[test]
    fn other_cause_of_an_outage_is_logged_after_ten_seconds() {
        let (mut log, start) = (log(), Instant::now());
        assert!(log.record_failure(CLOSED, None, start));
        let logged = |second: &u32| {
            log.record_failure(StoreError::NotReady(None), None, start + *second * SECOND)
        };
        assert_eq!((1..30).filter(logged).collect::<Vec<_>>(), [10]);
    }
}
