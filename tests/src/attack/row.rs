//! The rows of the table of attacks.

use std::fmt;

use super::{
    limits::{LIMITS, Limit},
    store::Kind,
};

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What is attacked.
    pub limit: &'static Limit,
    /// How many connections the attack has.
    pub connections: usize,
    /// The round trip to Redis in milliseconds.
    pub delay_ms: u64,
    /// Where the servers count.
    pub store: Kind,
    /// The failure mode.
    pub mode: &'static str,
    /// How many servers share the store.
    pub servers: usize,
}

/// The row that the others vary.
const USUAL: Row = Row {
    limit: &LIMITS[0],
    connections: 1_000,
    delay_ms: 1,
    store: Kind::Redis,
    mode: "open",
    servers: 1,
};

/// All rows: each limit with each number of connections, and at 1,000 of them with each other dimension varied.
#[must_use]
pub fn all() -> Vec<Row> {
    let memory = Row { store: Kind::Memory, delay_ms: 0, ..USUAL };
    let variants = [
        Row { connections: 200, ..USUAL },
        USUAL,
        Row { connections: 3_000, ..USUAL },
        Row { delay_ms: 0, ..USUAL },
        Row { delay_ms: 5, ..USUAL },
        Row { mode: "closed", ..USUAL },
        Row { mode: "local", ..USUAL },
        Row { servers: 2, ..USUAL },
        Row { servers: 2, mode: "local", ..USUAL },
        Row { store: Kind::Cluster, ..USUAL },
        memory,
    ];
    let of_limit = |limit| variants.iter().map(move |variant| Row { limit, ..*variant });
    LIMITS.iter().flat_map(of_limit).collect()
}

/// The most telling rows: each limit once, and two quotas also in the other failure modes and with two servers.
#[must_use]
pub fn few() -> Vec<Row> {
    let mut rows: Vec<Row> = LIMITS.iter().map(|limit| Row { limit, ..USUAL }).collect();
    if let Some(two_quotas) = Limit::named("two-quotas") {
        let row = Row { limit: two_quotas, ..USUAL };
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
