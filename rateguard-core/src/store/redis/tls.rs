//! Adds TLS settings to the settings of Redis connections.

use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};

use super::url::Target;
use crate::RedisUrlError;
pub(crate) use crate::store::tls::RedisTls as TlsSettings;

/// Adds the certificates to the connection settings of each server.
pub(super) fn apply(tls: &TlsSettings, target: Target) -> Result<Target, RedisUrlError> {
    let one = |server| with_certificates(server, tls);
    let all = |servers: Vec<_>| servers.into_iter().map(one).collect::<Result<_, _>>();
    Ok(match target {
        Target::One(server) => Target::One(one(server)?),
        Target::Cluster(nodes) => Target::Cluster(all(nodes)?),
        Target::Sentinel { sentinels, service, primary } => {
            Target::Sentinel { sentinels: all(sentinels)?, service, primary: one(primary)? }
        }
    })
}

/// Adds the certificates to the connection settings of one server. If these settings do not use TLS, returns them
/// unchanged.
fn with_certificates(
    server: ConnectionInfo,
    tls: &TlsSettings,
) -> Result<ConnectionInfo, RedisUrlError> {
    if !matches!(server.addr(), ConnectionAddr::TcpTls { .. }) {
        return Ok(server);
    }
    // The Redis client uses only the crypto provider of the process. If there is one already, this call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client_tls = tls.client.clone();
    let certificates = TlsCertificates {
        client_tls: client_tls
            .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
        root_cert: tls.authorities.clone(),
    };
    let client = Client::build_with_tls(server, certificates);
    let client = client.map_err(|_| RedisUrlError::Certificates)?;
    Ok(client.get_connection_info().clone())
}
