//! The rate limits that the attacks run against. The server and the judge, which checks the results, both use
//! these definitions.

use std::time::Duration;

/// The key by which a limit counts requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// The limit counts the requests of each client address separately.
    Address,
    /// The limit counts the requests with each value of the cookie `session` separately. If a request does not have
    /// this cookie, the limit uses the client's address.
    Cookie,
    /// The limit counts all requests under one key.
    Global,
}

/// The rate limit of the page that is attacked.
#[derive(Debug, PartialEq, Eq)]
pub struct Limit {
    /// The name of the limit on the command line.
    pub name: &'static str,
    /// The quotas as text. The text is empty if the page has no limiter.
    pub rate: &'static str,
    /// The quotas of `rate` as numbers: the limit in units and the window in seconds.
    pub quotas: &'static [(u64, u64)],
    /// The ban that follows repeated denials, as text.
    pub ban: Option<&'static str>,
    /// A second limit, which counts all requests together. One check of the guard includes both limits.
    pub global: Option<&'static str>,
    /// The key by which the limit counts requests.
    pub key: KeyKind,
    /// Whether only failed requests count against the limit. If so, the guard refunds the units of each successful
    /// request.
    pub counts_failures: bool,
    /// Whether the server trusts the proxy at 127.0.0.1 and therefore reads `X-Forwarded-For`.
    pub is_behind_proxy: bool,
    /// Whether each request of the attack has a different address.
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
    key: KeyKind::Address,
    counts_failures: false,
    is_behind_proxy: false,
    is_many_addresses: false,
};

/// Stands for a page that has constant rate limit headers and no limiter. The attack on this page shows how much
/// load the attack causes without a limiter.
pub const CONTROL: Limit = Limit { name: "no-limiter", rate: "", quotas: &[], ..SINGLE };

/// The rate limits for the attacks in the common table, which has one row for each attack.
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

/// The rate limits for the attacks that have separate tables.
pub const SPECIAL_LIMITS: [Limit; 5] = [
    Limit { name: "cookie", key: KeyKind::Cookie, ..SINGLE },
    Limit {
        name: "refund-100000",
        rate: "100000/hour",
        quotas: &[(100_000, HOUR)],
        key: KeyKind::Global,
        counts_failures: true,
        ..SINGLE
    },
    Limit {
        name: "refund-1000000",
        rate: "1000000/hour",
        quotas: &[(1_000_000, HOUR)],
        key: KeyKind::Global,
        counts_failures: true,
        ..SINGLE
    },
    Limit { name: "invented", is_behind_proxy: true, is_many_addresses: true, ..SINGLE },
    // This limit has two quotas, so each client has two buckets. One client in each of the 65,536 /64 networks of a
    // /48 network is therefore enough to exceed the default maximum of 100,000 keys.
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
    /// Returns the limit with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        [&CONTROL]
            .into_iter()
            .chain(&LIMITS)
            .chain(&SPECIAL_LIMITS)
            .find(|limit| limit.name == name)
    }

    /// Returns the text that the table shows for the limit.
    #[must_use]
    pub fn label(&self) -> String {
        if self.rate.is_empty() {
            return "no limiter".to_owned();
        }
        let ban = self.ban.map(|ban| format!(", ban {}", ban.split(' ').next().unwrap_or(ban)));
        let global = self.global.map(|_| " and global");
        let clients = if self.is_many_addresses { ", all addresses" } else { "" };
        let rate = self.rate.replace("sliding_window_counter", "(counter)");
        format!("{rate}{}{}{clients}", ban.unwrap_or_default(), global.unwrap_or_default())
    }

    /// Returns the maximum number of requests that may pass for one client within the duration `lasted`.
    ///
    /// Returns `None` if there is no limiter, or if the attack comes from many addresses.
    ///
    /// A period with the duration `d` (both ends included) overlaps at most `floor(d / window) + 1` disjoint windows.
    #[must_use]
    pub fn maximum(&self, lasted: Duration) -> Option<u64> {
        let of_quota = |(units, seconds): &(u64, u64)| units * (lasted.as_secs() / seconds + 1);
        let maximum = self.quotas.iter().map(of_quota).min();
        maximum.filter(|_| !self.is_many_addresses)
    }

    /// The number of requests that a new client can always send without a denial.
    #[must_use]
    pub fn allowance(&self) -> u64 {
        self.quotas.iter().map(|(units, _)| *units).min().unwrap_or(u64::MAX)
    }
}
