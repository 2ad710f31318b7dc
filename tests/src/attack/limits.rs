//! The limits under attack, for the server that enforces them and for the judge.

use std::time::Duration;

/// What the requests of a limit are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOf {
    /// The client's address.
    Address,
    /// The cookie `session`, or else the address.
    Cookie,
    /// All requests together.
    Global,
}

/// A limit of the server's page.
#[derive(Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its quotas.
    pub rate: &'static str,
    /// The same as numbers: units and seconds.
    pub quotas: &'static [(u64, u64)],
    /// Its ban.
    pub ban: Option<&'static str>,
    /// A second limit of the same decision, on all requests together.
    pub global: Option<&'static str>,
    /// Its key.
    pub key: KeyOf,
    /// Whether only failures count, so that a successful request is refunded.
    pub counts_failures: bool,
    /// Whether the server trusts `X-Forwarded-For` from 127.0.0.1.
    pub is_behind_proxy: bool,
    /// Whether each request of the attack comes from another address.
    pub is_many_addresses: bool,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

const SINGLE: Limit = Limit {
    name: "single",
    rate: "5/minute",
    quotas: &[(5, MINUTE)],
    ban: None,
    global: None,
    key: KeyOf::Address,
    counts_failures: false,
    is_behind_proxy: false,
    is_many_addresses: false,
};

/// The limits of the table of attacks.
pub const LIMITS: [Limit; 6] = [
    SINGLE,
    Limit {
        name: "two-quotas",
        rate: "5/second; 1000/day",
        quotas: &[(5, 1), (1_000, DAY)],
        ..SINGLE
    },
    Limit {
        name: "ban",
        rate: "20/hour",
        quotas: &[(20, HOUR)],
        ban: Some("5/hour for 15m up to 1d"),
        ..SINGLE
    },
    Limit { name: "counter", rate: "5/minute sliding_window_counter", ..SINGLE },
    Limit { name: "address+global", global: Some("1000000/minute"), ..SINGLE },
    Limit {
        name: "many-addresses",
        global: Some("1000000/minute"),
        is_behind_proxy: true,
        is_many_addresses: true,
        ..SINGLE
    },
];

/// The limits of the attacks with measurements of their own.
pub const SPECIAL_LIMITS: [Limit; 5] = [
    Limit { name: "cookie", key: KeyOf::Cookie, ..SINGLE },
    Limit {
        name: "refund-100000",
        rate: "100000/hour",
        quotas: &[(100_000, HOUR)],
        key: KeyOf::Global,
        counts_failures: true,
        ..SINGLE
    },
    Limit {
        name: "refund-1000000",
        rate: "1000000/hour",
        quotas: &[(1_000_000, HOUR)],
        key: KeyOf::Global,
        counts_failures: true,
        ..SINGLE
    },
    Limit { name: "invented", is_behind_proxy: true, is_many_addresses: true, ..SINGLE },
    // Two quotas, so that the 65,536 /64 networks of one /48 are more than 100,000 buckets.
    Limit {
        name: "network",
        rate: "20/hour; 1000/day",
        quotas: &[(20, HOUR), (1_000, DAY)],
        ban: Some("5/hour for 2h up to 1d"),
        is_behind_proxy: true,
        is_many_addresses: true,
        ..SINGLE
    },
];

impl Limit {
    /// The limit of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        LIMITS.iter().chain(&SPECIAL_LIMITS).find(|limit| limit.name == name)
    }

    /// What the table calls it.
    #[must_use]
    pub fn label(&self) -> String {
        let ban = self.ban.map(|ban| format!(", ban {}", ban.split(' ').next().unwrap_or(ban)));
        let global = self.global.map(|_| " and global");
        let clients = if self.is_many_addresses { ", all addresses" } else { "" };
        let rate = self.rate.replace("sliding_window_counter", "(counter)");
        format!("{rate}{}{}{clients}", ban.unwrap_or_default(), global.unwrap_or_default())
    }

    /// The most requests of one client that may pass within so long; `None` if the attack comes from many addresses.
    ///
    /// A closed interval of length `d` holds requests of at most `floor(d / window) + 1` disjoint windows.
    #[must_use]
    pub fn maximum(&self, lasted: Duration) -> Option<u64> {
        let of_quota = |(units, seconds): &(u64, u64)| units * (lasted.as_secs() / seconds + 1);
        let maximum = self.quotas.iter().map(of_quota).min();
        maximum.filter(|_| !self.is_many_addresses)
    }

    /// How many requests a client may send at once and all of them pass.
    #[must_use]
    pub fn allowance(&self) -> u64 {
        self.quotas.iter().map(|(units, _)| *units).min().unwrap_or(0)
    }
}
