//! The rows of the table of attacks. A row has the parameters of one attack.

use std::fmt;

use super::{
    limits::{CONTROL, LIMITS, Limit},
    store::Kind,
};

/// The parameters of one attack in the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The limit under attack.
    pub limit: &'static Limit,
    /// The number of connections.
    pub connections: usize,
    /// The round-trip time to Redis in milliseconds.
    pub delay_ms: u64,
    /// The kind of store that the servers use.
    pub store: Kind,
    /// The failure mode of the guards.
    pub mode: &'static str,
    /// The number of servers that share the store.
    pub servers: usize,
}

/// The default row. Every other row changes some of these parameters.
const DEFAULT_ROW: Row = Row {
    limit: &LIMITS[0],
    connections: 1_000,
    delay_ms: 1,
    store: Kind::Redis,
    mode: "open",
    servers: 1,
};

/// Returns all rows: rows without a limiter, and several variants for each limit. Each variant changes at most two
/// parameters of the default row.
#[must_use]
pub fn all() -> Vec<Row> {
    let memory = Row { store: Kind::Memory, delay_ms: 0, ..DEFAULT_ROW };
    let variants = [
        Row { connections: 200, ..DEFAULT_ROW },
        DEFAULT_ROW,
        Row { connections: 3_000, ..DEFAULT_ROW },
        Row { delay_ms: 0, ..DEFAULT_ROW },
        Row { delay_ms: 5, ..DEFAULT_ROW },
        Row { mode: "closed", ..DEFAULT_ROW },
        Row { mode: "local", ..DEFAULT_ROW },
        Row { servers: 2, ..DEFAULT_ROW },
        Row { servers: 2, mode: "local", ..DEFAULT_ROW },
        Row { store: Kind::Cluster, ..DEFAULT_ROW },
        memory,
    ];
    let of_limit = |limit| variants.iter().map(move |variant| Row { limit, ..*variant });
    let control = Row { limit: &CONTROL, ..memory };
    let controls = [200, 1_000, 3_000].map(|connections| Row { connections, ..control });
    controls.into_iter().chain(LIMITS.iter().flat_map(of_limit)).collect()
}

/// Returns a few rows: one row for each limit, and two more rows for the limit with two quotas. The first of these
/// two rows has the mode `local`, and the second has two servers.
#[must_use]
pub fn few() -> Vec<Row> {
    let mut rows: Vec<Row> = LIMITS.iter().map(|limit| Row { limit, ..DEFAULT_ROW }).collect();
    if let Some(two_quotas) = Limit::named("two-quotas") {
        let row = Row { limit: two_quotas, ..DEFAULT_ROW };
        rows.extend([Row { mode: "local", ..row }, Row { servers: 2, ..row }]);
    }
    rows
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, connections, delay_ms, store, mode, servers } = self;
        write!(f, "{} {connections}conn {delay_ms}ms {store} {mode} {servers}server", limit.name)
    }
}
