//! Creates the settings of a connection from the parts of a URL.

use std::time::Duration;

use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

use super::parts::Login;
use crate::RedisUrlError;

/// If no data arrives for this time, TCP sends keepalive probes. Heartbeats are more frequent, so TCP sends these
/// probes only if the connection is dead.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// The time after which the operating system closes a connection whose server does not acknowledge the sent data.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of a connection that do not depend on the address.
#[derive(Default)]
pub(super) struct Session {
    pub(super) login: Login,
    pub(super) database: i64,
    pub(super) protocol: ProtocolVersion,
}

/// Returns the address of a server.
pub(super) fn tcp(has_tls: bool, (host, port): (String, u16)) -> ConnectionAddr {
    if has_tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

/// Returns the settings for connections to this address.
pub(super) fn server(
    address: ConnectionAddr,
    session: &Session,
) -> Result<ConnectionInfo, RedisUrlError> {
    let Session { login, database, protocol } = session;
    let mut settings = RedisConnectionInfo::default().set_db(*database).set_protocol(*protocol);
    if let Some(user) = &login.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &login.password {
        settings = settings.set_password(password);
    }
    // Disable Nagle's algorithm, because it would delay small batches.
    let tcp = TcpSettings::default().set_nodelay(true);
    let tcp = tcp.set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE));
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(USER_TIMEOUT);
    let info = address.into_connection_info().map_err(|_| RedisUrlError::Malformed)?;
    Ok(info.set_redis_settings(settings).set_tcp_settings(tcp))
}
