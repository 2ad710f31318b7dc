//! Defines the interval between heartbeats.

use std::time::Duration;

/// The interval between two heartbeats. A heartbeat detects a lost connection before a request uses the connection.
/// It also prevents proxies from closing the connection as idle.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
