//! Describes a server in log messages.

use std::{net::IpAddr, time::Duration};

use tokio::{net::lookup_host, time::timeout};

/// The maximum time for the DNS queries that find an unknown host name for one log message.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// The description of a server in log messages. It contains no user and no password.
pub(in crate::store) struct ServerLabel {
    /// For example `Redis at 127.0.0.1:6379` or `Redis at 127.0.0.1:6379, database 3`.
    pub(in crate::store) text: String,
    pub(in crate::store) advice: &'static Advice,
    pub(in crate::store) has_tls: bool,
    pub(in crate::store) login: Login,
    /// Whether the server is reached through a Unix socket.
    pub(in crate::store) is_socket: bool,
    /// Whether `addresses` contains the address of the server itself. If not, they are addresses of sentinels or of
    /// nodes of a cluster.
    pub(in crate::store) is_server_address: bool,
    /// The host and the port of the server, or of each server in the URL.
    pub(in crate::store) addresses: Vec<(String, u16)>,
    /// The memory address of the application's connection pool, or 0 if there is none.
    pub(in crate::store) pool: usize,
}

/// Whether the program has set credentials for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Login {
    /// A user and a password, or a token.
    User,
    /// Only a password, which is the password of the default user.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "Upstash uses tokens"))]
    Password,
    Missing,
    /// The store does not know the credentials, or several servers have different ones.
    Unknown,
}

/// What an operator may have to change if a server rejects connections. Each kind of server has its own advice.
pub(in crate::store) struct Advice {
    /// The server closes the connection.
    pub(in crate::store) closed: &'static str,
    /// The server rejects the credentials. The text says so, and what to check.
    pub(in crate::store) authentication: &'static str,
    /// The program has set no credentials, and the server requires them.
    pub(in crate::store) missing_login: &'static str,
    /// The server sends no valid reply.
    pub(in crate::store) invalid_reply: &'static str,
}

impl ServerLabel {
    /// Returns the first host that is a name and cannot be resolved now.
    pub(super) async fn unresolved_host(&self) -> Option<&str> {
        let unresolved_host = async {
            for (host, port) in &self.addresses {
                let is_name = host.parse::<IpAddr>().is_err();
                if is_name && lookup_host((host.as_str(), *port)).await.is_err() {
                    return Some(host.as_str());
                }
            }
            None
        };
        timeout(LOOKUP_TIMEOUT, unresolved_host).await.unwrap_or_default()
    }
}
