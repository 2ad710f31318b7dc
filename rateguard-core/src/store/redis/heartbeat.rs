//! The interval of heartbeats.

use std::time::Duration;

/// The interval of heartbeats. They detect a lost connection before a request uses it, and prevent proxies from closing
/// idle connections.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
