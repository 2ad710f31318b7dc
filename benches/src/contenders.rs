//! The HTTP servers that are compared, and their scenarios.

/// A limiter and a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// The name of the limiter on the command line.
    pub limiter: &'static str,
    /// The label in the tables.
    pub label: &'static str,
    /// Whether the limiter uses Redis.
    pub uses_redis: bool,
    /// The scenario.
    pub scenario: Scenario,
}

impl Contender {
    /// Whether `word` is `memory` or `redis` and this is the store of the limiter, or `LIMITER,SCENARIO` contains it.
    #[must_use]
    pub fn matches(&self, word: &str) -> bool {
        let store = if self.uses_redis { "redis" } else { "memory" };
        store == word || format!("{},{}", self.limiter, self.scenario.as_str()).contains(word)
    }
}

/// The keys of the requests, and the expected result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// All requests have one key and are admitted.
    OneKey,
    /// The requests have 100,000 keys and are admitted.
    ManyKeys,
    /// All requests have one key and are denied.
    Denied,
}

impl Scenario {
    /// The label in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OneKey => "allowed",
            Self::ManyKeys => "allowed, 100,000 keys",
            Self::Denied => "denied",
        }
    }

    /// The number of keys.
    #[must_use]
    pub fn keys(self) -> u32 {
        if self == Self::ManyKeys { 100_000 } else { 1 }
    }

    /// The expected status of all responses.
    #[must_use]
    pub fn status(self) -> u16 {
        if self == Self::Denied { 429 } else { 200 }
    }

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneKey => "one-key",
            Self::ManyKeys => "many-keys",
            Self::Denied => "denied",
        }
    }

    /// The scenario with this name on the command line.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::OneKey, Self::ManyKeys, Self::Denied].into_iter().find(|it| it.as_str() == name)
    }
}

/// All limiters with all of their scenarios. The first one is the baseline of all others.
#[must_use]
pub fn all() -> Vec<Contender> {
    use Scenario::{Denied, ManyKeys, OneKey};
    let memory = [
        ("bare", "bare handler", &[OneKey][..]),
        ("headers", "no-op `Transform`, three headers", &[OneKey]),
        ("rateguard", "**RateGuard**, memory", &[OneKey, Denied]),
        ("governor", "actix-governor 0.10", &[OneKey, Denied]),
        ("extensible", "extensible-rate-limit 0.4, memory", &[OneKey, Denied]),
    ];
    let redis = [
        ("rateguard-redis", "**RateGuard**, Redis", &[OneKey, ManyKeys, Denied][..]),
        ("rateguard-redis-no-cache", "**RateGuard**, Redis, no denial cache", &[Denied]),
        ("extensible-redis", "extensible-rate-limit 0.4, Redis", &[OneKey, ManyKeys, Denied]),
        ("plain-redis", "plain port, Redis", &[OneKey, ManyKeys, Denied]),
        ("limitation-redis", "actix-limitation 0.6, Redis", &[OneKey, Denied]),
    ];
    let telemetry = if cfg!(feature = "telemetry") { &TELEMETRY[..] } else { &[] };
    memory
        .map(|of| (false, of))
        .into_iter()
        .chain(telemetry.iter().map(|of| (false, *of)))
        .chain(redis.map(|of| (true, of)))
        .flat_map(|(uses_redis, (limiter, label, scenarios))| {
            scenarios.iter().map(move |scenario| Contender {
                limiter,
                label,
                uses_redis,
                scenario: *scenario,
            })
        })
        .collect()
}

/// RateGuard with telemetry.
const TELEMETRY: [(&str, &str, &[Scenario]); 2] = [
    (
        "rateguard-metrics",
        "**RateGuard**, memory, Prometheus",
        &[Scenario::OneKey, Scenario::Denied],
    ),
    (
        "rateguard-spans",
        "**RateGuard**, memory, spans dropped",
        &[Scenario::OneKey, Scenario::Denied],
    ),
];

/// The pairs of limiters that are compared, with their common scenario.
pub const PAIRS: [(&str, &str, Scenario); 8] = [
    ("rateguard", "headers", Scenario::OneKey),
    ("rateguard", "governor", Scenario::OneKey),
    ("rateguard", "governor", Scenario::Denied),
    ("rateguard-redis", "extensible-redis", Scenario::OneKey),
    ("rateguard-redis", "extensible-redis", Scenario::ManyKeys),
    ("rateguard-redis", "extensible-redis", Scenario::Denied),
    ("rateguard-redis", "plain-redis", Scenario::OneKey),
    ("rateguard-redis", "plain-redis", Scenario::ManyKeys),
];
