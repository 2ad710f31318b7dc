//! Assigns keys to the IPv6 clients of a guard.

use actix_rateguard_core::adapter::{KeySecret, NetworkKeys, ThrottledLog};

/// Assigns keys to the clients of large IPv6 networks, and limits how often the warning about a shared key is
/// logged.
pub(crate) struct ClientNetworks {
    pub(crate) keys: NetworkKeys,
    pub(crate) log: ThrottledLog,
}

impl ClientNetworks {
    pub(crate) fn new(secret: Option<&KeySecret>) -> Self {
        let keys = NetworkKeys::new();
        let keys = match secret {
            Some(secret) => keys.with_secret(secret),
            None => keys,
        };
        Self { keys, log: ThrottledLog::new() }
    }
}
