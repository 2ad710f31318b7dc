//! Logs when the guard cannot connect to a server, and when it has connected. Operators therefore see a wrong address
//! or password when the application starts, before the first request. The messages contain no user, no password and no
//! text from the server.

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

/// The description of a server in the messages, for example `127.0.0.1:6379` or `127.0.0.1:6379, database 3`.
pub(super) struct ServerLabel {
    text: String,
    /// The host and the port, if the host is a name and not an IP address.
    name: Option<(String, u16)>,
    has_tls: bool,
    is_cluster: bool,
}

/// The messages about the connection to one server. A failure is logged once, and again only after its cause has
/// changed or after a connection has succeeded.
pub(super) struct ConnectionLog {
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

impl ServerLabel {
    pub(super) fn of(server: &ConnectionInfo) -> Self {
        // A host of a cluster or a sentinel comes from the network, so it may have control characters.
        let address = server.addr().to_string().escape_debug().to_string();
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
        Self { text, name, has_tls, is_cluster: false }
    }

    /// Describes a cluster. `seeds` are the nodes in the URL.
    pub(super) fn of_cluster(seeds: &[ConnectionInfo]) -> Self {
        Self { is_cluster: true, ..Self::of_nodes("the cluster with the nodes", seeds) }
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
        let text = format!("{description} {}", addresses.join(", "));
        Self { text, name: None, has_tls, is_cluster: false }
    }

    /// Describes the server of the application's pool. The address is not available.
    #[cfg(feature = "deadpool")]
    pub(super) fn of_pool() -> Self {
        Self {
            text: "the address of the application's pool".to_owned(),
            name: None,
            has_tls: false,
            is_cluster: false,
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
        // A refused connection shows that the name was resolved. After a timeout, the DNS may be slow, so another query
        // could delay the next attempt to connect.
        let may_be_unknown_name = matches!(cause, StoreError::Unreachable(_))
            && !matches!(kind, Some(ErrorKind::ConnectionRefused | ErrorKind::TimedOut));
        let reason = if may_be_unknown_name && self.server.is_unknown_name().await {
            "the name of the host cannot be resolved; check the URL and the DNS".to_owned()
        } else {
            reason(cause, &self.server)
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

/// Returns a text that describes the cause, and what the operator may have to change.
fn reason(cause: StoreError, server: &ServerLabel) -> String {
    match (cause, io_kind(&cause)) {
        (_, Some(ErrorKind::ConnectionRefused)) => {
            "connection refused; check that the server runs and that the port is right".to_owned()
        }
        (_, Some(ErrorKind::TimedOut)) => {
            "timed out; check the address, the DNS, and firewalls between this process and the server"
                .to_owned()
        }
        (StoreError::Unreachable(_), Some(ErrorKind::InvalidData)) if server.has_tls => {
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
        (StoreError::NotReady, _) if server.is_cluster => {
            "no node serves the cluster; check that the servers run in cluster mode, and use redis:// for a single server"
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
        let server = |has_tls, is_cluster| ServerLabel {
            text: String::new(),
            name: None,
            has_tls,
            is_cluster,
        };
        assert!(reason(StoreError::NotReady, &server(false, true)).contains("cluster mode"));
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
            let reason = reason(cause, &server(has_tls, false));
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
