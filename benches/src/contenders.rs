//! The HTTP servers that are compared, and their scenarios.

use std::time::Duration;

use crate::{ACCURACY, GENEROUS, GENEROUS_TO_MANY, HOT_KEY, STRICT};

use self::Scenario::{Denied, HotKey, ManyKeys, OneKey};

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
    /// All requests have one key, with the limit of the measurements of accuracy.
    Accuracy,
    /// All requests have one key, with the limit of the measurements of leases.
    HotKey,
}

impl Scenario {
    /// The label in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OneKey => "allowed",
            Self::ManyKeys => "allowed, 100,000 keys",
            Self::Denied => "denied",
            Self::Accuracy => "accuracy",
            Self::HotKey => "hot key",
        }
    }

    /// The number of keys.
    #[must_use]
    pub fn keys(self) -> u32 {
        if self == Self::ManyKeys { 100_000 } else { 1 }
    }

    /// The expected status of all responses, except in `Accuracy` and `HotKey`.
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
            Self::Accuracy => "accuracy",
            Self::HotKey => "hot-key",
        }
    }

    /// The limit and the window of RateGuard and of the plain port.
    #[must_use]
    pub fn limit(self) -> (u32, Duration) {
        match self {
            Self::OneKey => GENEROUS,
            Self::ManyKeys => GENEROUS_TO_MANY,
            Self::Denied => STRICT,
            Self::Accuracy => ACCURACY,
            Self::HotKey => HOT_KEY,
        }
    }

    /// The scenario with this name on the command line.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::OneKey, Self::ManyKeys, Self::Denied, Self::Accuracy, Self::HotKey];
        all.into_iter().find(|it| it.as_str() == name)
    }
}

/// All limiters with all of their scenarios. The first one is the baseline of all others.
#[must_use]
pub fn all() -> Vec<Contender> {
    limiters()
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

/// The limiters whose cost for one hot key is measured. The first one is the baseline of the others.
#[must_use]
pub fn for_hot_key() -> [Contender; 4] {
    let contender =
        |limiter, label, uses_redis| Contender { limiter, label, uses_redis, scenario: HotKey };
    [
        contender("rateguard", "in memory, each server its own limit", false),
        contender("rateguard-redis", "Redis", true),
        contender("rateguard-leased-redis", "Redis, leases of up to 50 units", true),
        contender(LEASED_TOKENS, "Redis, token bucket, leases of up to 50 tokens", true),
    ]
}

/// The limiters whose accuracy is measured.
#[must_use]
pub fn for_accuracy() -> Vec<Contender> {
    // Telemetry does not change a decision. `leases` measures the accuracy of leases. Permits limit no window.
    let is_measured = |limiter| {
        !matches!(limiter, "bare" | "headers" | "rateguard-leased-redis" | LEASED_TOKENS)
            && !PERMITS.iter().chain(&TELEMETRY).any(|(name, ..)| *name == limiter)
    };
    limiters()
        .filter(|(_, (limiter, ..))| is_measured(limiter))
        .map(|(uses_redis, (limiter, label, _))| Contender {
            limiter,
            label,
            uses_redis,
            scenario: Scenario::Accuracy,
        })
        .collect()
}

/// The name on the command line, the label, and the scenarios.
type Limiter = (&'static str, &'static str, &'static [Scenario]);

/// All limiters, and whether they use Redis.
fn limiters() -> impl Iterator<Item = (bool, Limiter)> {
    let telemetry = if cfg!(feature = "telemetry") { &TELEMETRY[..] } else { &[] };
    let memory = MEMORY.iter().chain(telemetry).map(|of| (false, *of));
    memory.chain(REDIS.iter().chain(&PERMITS).map(|of| (true, *of)))
}

const MEMORY: [Limiter; 7] = [
    ("bare", "bare handler", &[OneKey]),
    ("headers", "no-op `Transform`, three headers", &[OneKey]),
    ("rateguard", "**RateGuard**, memory", &[OneKey, Denied]),
    ("governor", "actix-governor 0.10", &[OneKey, Denied]),
    ("extensible", "extensible-rate-limit 0.4, memory", &[OneKey, Denied]),
    ("limitador", "limitador 0.14, memory", &[OneKey, Denied]),
    ("trypema", "trypema 2.2, local", &[OneKey, Denied]),
];

const REDIS: [Limiter; 10] = [
    ("rateguard-redis", "**RateGuard**, Redis", &[OneKey, ManyKeys, Denied]),
    ("rateguard-leased-redis", "**RateGuard**, Redis, leases of up to 1,000 units", &[OneKey]),
    (LEASED_TOKENS, "**RateGuard**, Redis, token bucket, leases of up to 1,000 tokens", &[OneKey]),
    ("rateguard-redis-no-cache", "**RateGuard**, Redis, no denial cache", &[Denied]),
    ("extensible-redis", "extensible-rate-limit 0.4, Redis", &[OneKey, ManyKeys, Denied]),
    ("plain-redis", "plain port, Redis", &[OneKey, ManyKeys, Denied]),
    ("plain-multiplexed-redis", "plain port, multiplexed, Redis", &[OneKey, ManyKeys, Denied]),
    ("limitation-redis", "actix-limitation 0.6, Redis", &[OneKey, Denied]),
    ("trypema-redis", "trypema 2.2, Redis", &[OneKey, ManyKeys, Denied]),
    ("trypema-hybrid-redis", "trypema 2.2, hybrid", &[OneKey, ManyKeys, Denied]),
];

/// A token bucket whose servers take leases.
pub const LEASED_TOKENS: &str = "rateguard-leased-tokens-redis";

/// RateGuard with a limit on the requests in progress.
const PERMITS: [Limiter; 2] = [
    ("rateguard-permit-redis", "**RateGuard**, Redis, a permit", &[OneKey]),
    ("rateguard-permit-and-rate-redis", "**RateGuard**, Redis, a permit and a rate", &[OneKey]),
];

/// RateGuard with telemetry.
const TELEMETRY: [Limiter; 2] = [
    ("rateguard-metrics", "**RateGuard**, memory, Prometheus", &[OneKey, Denied]),
    ("rateguard-spans", "**RateGuard**, memory, spans dropped", &[OneKey, Denied]),
];

/// The pairs of limiters that are compared, with their common scenario.
pub const PAIRS: [(&str, &str, Scenario); 22] = [
    ("rateguard", "headers", OneKey),
    ("rateguard", "governor", OneKey),
    ("rateguard", "governor", Denied),
    ("rateguard", "limitador", OneKey),
    ("rateguard", "limitador", Denied),
    ("rateguard", "trypema", OneKey),
    ("rateguard", "trypema", Denied),
    ("rateguard-redis", "extensible-redis", OneKey),
    ("rateguard-redis", "extensible-redis", ManyKeys),
    ("rateguard-redis", "extensible-redis", Denied),
    ("rateguard-redis", "plain-redis", OneKey),
    ("rateguard-redis", "plain-redis", ManyKeys),
    ("rateguard-redis", "plain-multiplexed-redis", OneKey),
    ("rateguard-redis", "plain-multiplexed-redis", ManyKeys),
    ("rateguard-redis", "trypema-redis", OneKey),
    ("rateguard-redis", "trypema-redis", ManyKeys),
    ("rateguard-redis", "trypema-hybrid-redis", OneKey),
    ("rateguard-leased-redis", "rateguard", OneKey),
    ("rateguard-leased-redis", "rateguard-redis", OneKey),
    (LEASED_TOKENS, "rateguard", OneKey),
    ("rateguard-permit-redis", "rateguard-redis", OneKey),
    ("rateguard-permit-and-rate-redis", "rateguard-redis", OneKey),
];
