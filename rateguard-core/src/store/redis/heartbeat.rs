//! The interval of heartbeats.

use std::time::Duration;

/// The interval of heartbeats. Heartbeats detect a lost connection before a request uses the connection, and prevent
/// proxies from closing idle connections.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
