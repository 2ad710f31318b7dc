//! Describes Redis servers in log messages.

use redis::{ConnectionAddr, ConnectionInfo};

use crate::store::connection::{Advice, Login, ServerLabel};

static ADVICE: Advice = Advice {
    closed: "the server closed the connection; check that the port speaks the Redis protocol, and whether it expects TLS (rediss://)",
    authentication: "the server rejected the user or the password; check both, and percent-encode characters such as @ : / in the URL",
    missing_login: "the server requires a password; add it to the URL: redis://:PASSWORD@HOST",
    invalid_reply: "the server rejected the connection; check that it is a Redis server",
};

impl ServerLabel {
    pub(super) fn of(server: &ConnectionInfo) -> Self {
        let database = match server.redis_settings().db() {
            0 => String::new(),
            database => format!(", database {database}"),
        };
        // A host of a cluster comes from the network, so it may have control characters.
        let address = server.addr().to_string();
        Self::new(format!("Redis at {}{database}", address.escape_debug()), [server])
    }

    /// Describes a server that is not at one fixed address. `nodes` are the sentinels or the nodes in the URL.
    pub(super) fn of_nodes<'a>(
        description: &str,
        nodes: impl IntoIterator<Item = &'a ConnectionInfo> + Clone,
    ) -> Self {
        let addresses: Vec<_> =
            nodes.clone().into_iter().map(|node| node.addr().to_string()).collect();
        let label = Self::new(format!("Redis at {description} {}", addresses.join(", ")), nodes);
        // The servers behind the nodes may have other credentials.
        Self { is_server_address: false, login: Login::Unknown, ..label }
    }

    /// Describes a cluster. `seeds` are the nodes in the URL.
    pub(super) fn of_cluster(seeds: &[ConnectionInfo]) -> Self {
        let label = Self::of_nodes("the cluster with the nodes", seeds);
        // All nodes of a cluster get the same login.
        Self { login: seeds.first().map_or(Login::Unknown, login), ..label }
    }

    /// Describes the server of the application's pool. The address is not available.
    #[cfg(feature = "deadpool")]
    pub(super) fn of_pool(pool: &deadpool_redis::Pool) -> Self {
        let label = Self::new("Redis at the address of the application's pool".to_owned(), []);
        // All clones of a pool share its manager.
        let pool = std::ptr::from_ref(pool.manager()).addr();
        Self { pool, login: Login::Unknown, ..label }
    }

    fn new<'a>(text: String, servers: impl IntoIterator<Item = &'a ConnectionInfo>) -> Self {
        let (mut addresses, mut has_tls, mut is_socket) = (Vec::new(), false, false);
        let mut last_login = Login::Unknown;
        for server in servers {
            last_login = login(server);
            match server.addr() {
                ConnectionAddr::Tcp(host, port) => addresses.push((host.clone(), *port)),
                ConnectionAddr::TcpTls { host, port, .. } => {
                    addresses.push((host.clone(), *port));
                    has_tls = true;
                }
                ConnectionAddr::Unix(_) => is_socket = true,
                _ => {}
            }
        }
        Self {
            text,
            advice: &ADVICE,
            has_tls,
            login: last_login,
            is_socket,
            is_server_address: true,
            addresses,
            pool: 0,
        }
    }
}

/// Returns whether the settings of a server have a user and a password.
fn login(server: &ConnectionInfo) -> Login {
    let settings = server.redis_settings();
    match (settings.username(), settings.password()) {
        (_, None) => Login::Missing,
        (None, Some(_)) => Login::Password,
        (Some(_), Some(_)) => Login::User,
    }
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;

    #[test]
    fn label_has_the_address_and_no_credentials() {
        for (url, expected) in [
            ("redis://user:hunter2@10.0.0.7:6380/3", "Redis at 10.0.0.7:6380, database 3"),
            ("redis://:hunter2@localhost", "Redis at localhost:6379"),
            ("redis+unix:///run/redis.sock?pass=hunter2", "Redis at /run/redis.sock"),
        ] {
            let label = ServerLabel::of(&url.into_connection_info().unwrap());
            assert_eq!(label.text, expected);
            assert!(label.is_server_address);
        }
        let node = "redis://10.0.0.7".into_connection_info().unwrap();
        for label in [
            ServerLabel::of_nodes("the primary of service main, from sentinels", [&node]),
            ServerLabel::of_cluster(std::slice::from_ref(&node)),
        ] {
            assert!(!label.is_server_address, "{}", label.text);
        }
    }
}
