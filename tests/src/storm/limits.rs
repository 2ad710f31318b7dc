//! The limits of a storm's servers. The servers, the clients and the judge use the same definitions, so they agree.

use std::sync::LazyLock;

use actix_rateguard::{Quota, Quotas};

/// The policies: every algorithm alone, several quotas in one policy, and `long`, whose window is longer than most
/// storms.
pub const LIMITS: [(&str, &str); 13] = [
    ("log", "8/1s"),
    ("costs", "20/1500ms"),
    ("several", "5/500ms; 12/2s"),
    ("mixed", "6/1s; 10/1s fixed_window; 30/2s token_bucket burst 9"),
    ("fixed", "6/1s fixed_window"),
    ("bucket", "10/1s token_bucket burst 5"),
    ("counter", "9/800ms sliding_window_counter"),
    ("refund", "6/1s"),
    ("long", "40/60s"),
    ("outer", "12/1s"),
    ("banned", "8/1s"),
    ("each", "10/1s"),
    ("all", "25/1s"),
];

/// The policies with a ban.
pub const BANS: [(&str, &str); 1] = [("banned", "20/5s for 1s")];

/// A page and the policies that apply to its requests, the outermost first.
#[derive(Debug)]
pub struct Page {
    /// The path.
    pub path: &'static str,
    /// The names of the policies.
    pub policies: &'static [&'static str],
    /// The maximum cost of a request. The minimum is 1.
    pub max_cost: u32,
    /// The number of checks that the server makes for a request. It is less than the number of policies if one check
    /// has several policies.
    pub checks: usize,
}

const fn page(path: &'static str, policies: &'static [&'static str], max_cost: u32) -> Page {
    Page { path, policies, max_cost, checks: policies.len() }
}

/// The pages: one for each policy, one with two checks, and one with a single check of two policies. The first of these
/// two policies counts each client, and the second counts all clients together.
pub const PAGES: [Page; 12] = [
    page("/log", &["log"], 1),
    page("/costs", &["costs"], 4),
    page("/several", &["several"], 1),
    page("/mixed", &["mixed"], 2),
    page("/fixed", &["fixed"], 1),
    page("/bucket", &["bucket"], 1),
    page("/counter", &["counter"], 1),
    page("/refund", &["refund"], 2),
    page("/long", &["long"], 1),
    page("/nested", &["outer", "log"], 1),
    page("/banned", &["banned"], 1),
    Page { path: "/both", policies: &["each", "all"], max_cost: 1, checks: 1 },
];

/// The paths that the attack uses: two quotas, a counter, a ban, and two policies in one check.
pub const ATTACKED: [&str; 4] = ["/several", "/counter", "/banned", "/both"];

/// The header with the client's name. The name is the key of the limits.
pub const CLIENT: &str = "X-Client";
/// The header with the cost of the request.
pub const COST: &str = "X-Cost";
/// The header that requests a response with status 204. The limit of `/refund` does not count such a response.
pub const FREE: &str = "X-Free";

/// The number of servers that share the limits through Redis.
pub const SERVERS: u32 = 4;

static QUOTAS: LazyLock<Vec<Vec<Quota>>> = LazyLock::new(|| {
    let quotas = |(_, rates): (&str, &str)| rates.parse::<Quotas>().ok();
    let list = |quotas: Option<Quotas>| quotas.iter().flatten().copied().collect();
    LIMITS.map(|limit| list(quotas(limit))).to_vec()
});

/// The quota `quota_index` of the policy with the index `policy`.
#[must_use]
pub fn quota(policy: usize, quota_index: usize) -> Option<Quota> {
    QUOTAS.get(policy)?.get(quota_index).copied()
}

/// The index of the policy with this name.
#[must_use]
pub fn policy_index(policy: &str) -> Option<usize> {
    LIMITS.iter().position(|(name, _)| *name == policy)
}

/// The failure mode of each server.
pub const MODES: [&str; SERVERS as usize] = ["open", "closed", "local", "open"];
