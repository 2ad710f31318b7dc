//! Logs when the guard cannot connect to a server, and when it has connected. Operators therefore see a wrong address
//! or password when the application starts, before the first request. The messages contain no user, no password and no
//! text from the server.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use super::{
    label::ServerLabel,
    reason::{io_kind, reason},
};
use crate::StoreError;

/// The minimum time between two messages about an outage whose cause changes.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// The messages about the connection to one server. A failure is logged once, and again only after its cause has
/// changed or after a connection has succeeded.
pub(in crate::store) struct ConnectionLog {
    server: ServerLabel,
    last: LastMessage,
}

/// The content of the last message.
enum LastMessage {
    None,
    Connected,
    /// The message said that the server is unavailable for this reason, and was logged at this time.
    Failed(StoreError, Option<ErrorKind>, Instant),
}

impl ConnectionLog {
    pub(in crate::store) fn new(server: ServerLabel) -> Self {
        Self { server, last: LastMessage::None }
    }

    /// Logs that the server is available, unless the last message already said so.
    pub(in crate::store) fn connected(&mut self) {
        if !matches!(self.last, LastMessage::Connected) {
            log::info!(target: "rateguard", "connected to {}", self.server.text);
            self.last = LastMessage::Connected;
        }
    }

    /// Logs that an attempt to connect failed, unless the last message already had this cause. If the message is logged,
    /// `diagnose` may return a more precise reason than the cause.
    pub(in crate::store) async fn failed(
        &mut self,
        cause: StoreError,
        diagnose: impl AsyncFnOnce(&ServerLabel) -> Option<&'static str>,
    ) {
        let kind = io_kind(cause);
        if let LastMessage::Failed(last_cause, last_kind, logged_at) = &self.last
            && ((*last_cause, *last_kind) == (cause, kind) || logged_at.elapsed() < MIN_INTERVAL)
        {
            return;
        }
        // A refused connection shows that the name was resolved. After a timeout, the DNS may be slow, so another query
        // could delay the next attempt to connect.
        let may_be_unknown_name = matches!(cause, StoreError::Unreachable(_))
            && !matches!(kind, Some(ErrorKind::ConnectionRefused | ErrorKind::TimedOut));
        let unknown_name =
            if may_be_unknown_name { self.server.unknown_name().await } else { None };
        let reason = if let Some(host) = unknown_name {
            // A host of a cluster comes from the network, so it may have control characters.
            let host = host.escape_debug();
            format!("the host name `{host}` cannot be resolved; check the URL and the DNS")
        } else if let Some(reason) = diagnose(&self.server).await {
            reason.to_owned()
        } else {
            reason(cause, &self.server)
        };
        log::error!(
            target: "rateguard",
            "failed to connect to {}: {reason}. The guard tries again; until it connects, the failure mode of each policy applies",
            self.server.text
        );
        self.last = LastMessage::Failed(cause, kind, Instant::now());
    }
}
