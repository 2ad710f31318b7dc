//! Logs when the guard cannot connect to a server, and when it has connected, so operators see a wrong address or
//! password at start, without any request. The messages contain neither the user, the password, nor text from the
//! server.

use std::{
    error::Error,
    io::ErrorKind,
    net::IpAddr,
    time::{Duration, Instant},
};

use redis::{ConnectionAddr, ConnectionInfo};
use tokio::{net::lookup_host, time::timeout};

use super::connect::CONNECT_TIMEOUT;
use crate::{IoCause, store::StoreError};

/// The minimum time between two messages about an outage whose cause changes.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// A server as the messages describe it, for example `127.0.0.1:6379` or `127.0.0.1:6379, database 3`.
pub(super) struct ServerLabel {
    text: String,
    /// The host and the port, if the host is a name and not an IP address.
    name: Option<(String, u16)>,
    has_tls: bool,
}

/// The messages about the connection to one server. A failure is logged once, until its cause changes or the
/// connection succeeds.
pub(super) struct ConnectionLog {
    server: ServerLabel,
    last: LastMessage,
}

/// The content of the last message.
enum LastMessage {
    None,
    Connected,
    /// The server is unavailable for this reason. The message was logged at this time.
    Failed(StoreError, Option<ErrorKind>, Instant),
}

impl ServerLabel {
    pub(super) fn of(server: &ConnectionInfo) -> Self {
        let address = server.addr().to_string();
        let text = match server.redis_settings().db() {
            0 => address,
            database => format!("{address}, database {database}"),
        };
        let name = match server.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }
                if host.parse::<IpAddr>().is_err() =>
            {
                Some((host.clone(), *port))
            }
            _ => None,
        };
        let has_tls = matches!(server.addr(), ConnectionAddr::TcpTls { .. });
        Self { text, name, has_tls }
    }

    /// Describes a server that is not at one fixed address. `nodes` are the nodes in the URL.
    pub(super) fn of_nodes<'a>(
        description: &str,
        nodes: impl IntoIterator<Item = &'a ConnectionInfo>,
    ) -> Self {
        let (mut addresses, mut has_tls) = (Vec::new(), false);
        for node in nodes {
            addresses.push(node.addr().to_string());
            has_tls |= matches!(node.addr(), ConnectionAddr::TcpTls { .. });
        }
        Self { text: format!("{description} {}", addresses.join(", ")), name: None, has_tls }
    }

    /// Describes the server of the application's pool. The address is not available.
    #[cfg(feature = "deadpool")]
    pub(super) fn of_pool() -> Self {
        Self {
            text: "the address of the application's pool".to_owned(),
            name: None,
            has_tls: false,
        }
    }

    /// Returns true if the host is a name that cannot be resolved now.
    async fn is_unknown_name(&self) -> bool {
        let Some((host, port)) = &self.name else { return false };
        let lookup = timeout(CONNECT_TIMEOUT, lookup_host((host.as_str(), *port)));
        lookup.await.is_ok_and(|addresses| addresses.is_err())
    }
}

impl ConnectionLog {
    pub(super) fn new(server: ServerLabel) -> Self {
        Self { server, last: LastMessage::None }
    }

    /// Logs that the server is available, unless the last message already said so.
    pub(super) fn connected(&mut self) {
        if !matches!(self.last, LastMessage::Connected) {
            log::info!(target: "rateguard", "connected to Redis at {}", self.server.text);
            self.last = LastMessage::Connected;
        }
    }

    /// Logs that an attempt to connect failed, unless the last message already had this cause.
    pub(super) async fn failed(&mut self, cause: StoreError) {
        let kind = io_kind(&cause);
        if let LastMessage::Failed(last_cause, last_kind, logged_at) = &self.last
            && ((*last_cause, *last_kind) == (cause, kind) || logged_at.elapsed() < MIN_INTERVAL)
        {
            return;
        }
        let is_unreachable = matches!(cause, StoreError::Unreachable(_));
        let reason = if is_unreachable && self.server.is_unknown_name().await {
            "the name of the host cannot be resolved; check the URL and the DNS".to_owned()
        } else {
            reason(cause, self.server.has_tls)
        };
        log::error!(
            target: "rateguard",
            "failed to connect to Redis at {}: {reason}. The guard tries again; until it connects, the failure mode of each policy applies",
            self.server.text
        );
        self.last = LastMessage::Failed(cause, kind, Instant::now());
    }
}

fn io_kind(cause: &StoreError) -> Option<ErrorKind> {
    cause.source()?.downcast_ref::<IoCause>().map(|it| it.kind())
}

/// Returns the cause, and what the operator may have to change.
fn reason(cause: StoreError, has_tls: bool) -> String {
    match (cause, io_kind(&cause)) {
        (_, Some(ErrorKind::ConnectionRefused)) => {
            "connection refused; check that the server runs and that the port is right".to_owned()
        }
        (_, Some(ErrorKind::TimedOut)) => {
            "timed out; check the address, and firewalls between this process and the server"
                .to_owned()
        }
        (StoreError::Unreachable(_), Some(ErrorKind::InvalidData)) if has_tls => {
            "the TLS handshake failed; check that the certificate is valid for this host and that its authority is trusted (`RedisTls`)"
                .to_owned()
        }
        (StoreError::Unreachable(_), Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)) => {
            "the server closed the connection; check that the port speaks the Redis protocol, and whether it expects TLS (rediss://)"
                .to_owned()
        }
        (StoreError::Authentication, _) => {
            "the server rejected the user or the password; in a URL, percent-encode characters such as @ : / in a password"
                .to_owned()
        }
        (StoreError::InvalidReply, _) => {
            "the server rejected the connection; check that it is a Redis server, and that the database exists"
                .to_owned()
        }
        (_, Some(kind)) => format!("{cause} ({})", IoCause::from(kind)),
        (_, None) => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;

    #[test]
    fn label_has_the_address_and_no_credentials() {
        for (url, expected) in [
            ("redis://user:hunter2@10.0.0.7:6380/3", "10.0.0.7:6380, database 3"),
            ("redis://:hunter2@localhost", "localhost:6379"),
            ("redis+unix:///run/redis.sock?pass=hunter2", "/run/redis.sock"),
        ] {
            let label = ServerLabel::of(&url.into_connection_info().unwrap());
            assert_eq!(label.text, expected);
        }
    }

    #[test]
    fn reasons_name_the_cause_and_the_next_step() {
        let unreachable = |kind: ErrorKind| StoreError::Unreachable(Some(kind.into()));
        for (cause, has_tls, expected) in [
            (unreachable(ErrorKind::ConnectionRefused), false, "connection refused"),
            (unreachable(ErrorKind::TimedOut), false, "timed out"),
            (unreachable(ErrorKind::InvalidData), true, "the TLS handshake failed"),
            (unreachable(ErrorKind::UnexpectedEof), false, "expects TLS"),
            (StoreError::Authentication, false, "percent-encode"),
            (StoreError::NotReady, false, "accepts no writes"),
            (StoreError::InvalidReply, false, "that the database exists"),
            (unreachable(ErrorKind::NetworkUnreachable), false, "(network unreachable)"),
        ] {
            let reason = reason(cause, has_tls);
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
