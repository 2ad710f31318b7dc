//! The servers that are compared, and what each of them is asked.

/// A server, what it does to the requests, and how many keys they have.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// Its limiter, by the name that the server knows.
    pub limiter: &'static str,
    /// What the table calls it.
    pub called: &'static str,
    /// Whether it works on Redis.
    pub on_redis: bool,
    /// What is asked of it.
    pub asked: Asked,
}

impl Contender {
    /// Whether it has this word in its name or in what it is asked, or counts there: in `memory`, or on `redis`. A name and
    /// what is asked may stand together, with a comma between them.
    #[must_use]
    pub fn is_called(&self, word: &str) -> bool {
        let place = if self.on_redis { "redis" } else { "memory" };
        place == word || format!("{},{}", self.limiter, self.asked.word()).contains(word)
    }
}

/// What requests a limiter gets, and what it is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of one key, and admitted.
    OneKey,
    /// Of a hundred thousand keys, and admitted.
    ManyKeys,
    /// All of one key, and denied.
    Denied,
}

impl Asked {
    /// How the table and the command line call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OneKey => "allowed",
            Self::ManyKeys => "allowed, 100,000 keys",
            Self::Denied => "denied",
        }
    }

    /// How many keys the requests have.
    #[must_use]
    pub fn keys(self) -> u32 {
        if self == Self::ManyKeys { 100_000 } else { 1 }
    }

    /// What every answer has to be.
    #[must_use]
    pub fn status(self) -> u16 {
        if self == Self::Denied { 429 } else { 200 }
    }

    /// As the server is told it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::OneKey => "one-key",
            Self::ManyKeys => "many-keys",
            Self::Denied => "denied",
        }
    }

    /// From such a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::OneKey, Self::ManyKeys, Self::Denied].into_iter().find(|it| it.word() == word)
    }
}

/// Each limiter with what is asked of it; the first is what all others are compared with.
#[must_use]
pub fn all() -> Vec<Contender> {
    use Asked::{Denied, ManyKeys, OneKey};
    let memory = [
        ("bare", "bare handler", &[OneKey][..]),
        ("headers", "no-op `Transform`, three headers", &[OneKey]),
        ("rateguard", "**RateGuard**, memory", &[OneKey, Denied]),
        ("governor", "actix-governor 0.10", &[OneKey, Denied]),
        ("extensible", "extensible-rate-limit 0.4, memory", &[OneKey, Denied]),
    ];
    let redis = [
        ("rateguard-redis", "**RateGuard**, Redis", &[OneKey, ManyKeys, Denied][..]),
        ("rateguard-redis-asking", "**RateGuard**, Redis, nothing remembered", &[Denied]),
        ("extensible-redis", "extensible-rate-limit 0.4, Redis", &[OneKey, ManyKeys, Denied]),
        ("plain-redis", "plain port, Redis", &[OneKey, ManyKeys, Denied]),
        ("limitation-redis", "actix-limitation 0.6, Redis", &[OneKey, Denied]),
    ];
    let on_redis = redis.map(|of| (true, of));
    let seen = if cfg!(feature = "seeing") { &SEEN[..] } else { &[] };
    memory
        .map(|of| (false, of))
        .into_iter()
        .chain(seen.iter().map(|of| (false, *of)))
        .chain(on_redis)
        .flat_map(|(on_redis, (limiter, called, asked))| {
            asked.iter().map(move |asked| Contender { limiter, called, on_redis, asked: *asked })
        })
        .collect()
}

/// Those of which the checks are seen.
const SEEN: [(&str, &str, &[Asked]); 2] = [
    (
        "rateguard-seen-metrics",
        "**RateGuard**, memory, Prometheus",
        &[Asked::OneKey, Asked::Denied],
    ),
    (
        "rateguard-seen-spans",
        "**RateGuard**, memory, spans dropped",
        &[Asked::OneKey, Asked::Denied],
    ),
];

/// Which are compared with each other: the limiters, and what is asked of both.
pub const PAIRS: [(&str, &str, Asked); 8] = [
    ("rateguard", "headers", Asked::OneKey),
    ("rateguard", "governor", Asked::OneKey),
    ("rateguard", "governor", Asked::Denied),
    ("rateguard-redis", "extensible-redis", Asked::OneKey),
    ("rateguard-redis", "extensible-redis", Asked::ManyKeys),
    ("rateguard-redis", "extensible-redis", Asked::Denied),
    ("rateguard-redis", "plain-redis", Asked::OneKey),
    ("rateguard-redis", "plain-redis", Asked::ManyKeys),
];
