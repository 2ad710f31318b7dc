//! The rate limits of the servers in a storm, which is a test that injects random faults. The servers, the clients
//! and the judge, which checks the results, all use these definitions.

use std::sync::LazyLock;

use actix_rateguard::{Quota, Quotas};

/// The policies. `several` and `mixed` have several quotas, and each of the remaining policies has one quota. The
/// window of the policy `long` is longer than most storms. `hot` has a lease, so a server admits many of its requests
/// in its own memory. A leased quota of another algorithm needs a line here, a page, and an arm in `leased_windows`.
/// `held` and `export` limit requests in progress, and `export` also has a rate.
pub const LIMITS: [(&str, &str); 16] = [
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
    ("hot", "200/1s lease 20 for 250ms"),
    ("held", "4 concurrent lease 1s"),
    ("export", "20/1s; 3 concurrent lease 1s"),
];

/// The bans, each with the name of its policy.
pub const BANS: [(&str, &str); 1] = [("banned", "20/5s for 1s")];

/// A page, and the policies that limit its requests. The policy of the outermost limit is first.
#[derive(Debug)]
pub struct Page {
    /// The path of the page.
    pub path: &'static str,
    /// The names of the policies.
    pub policies: &'static [&'static str],
    /// The maximum cost of a request to the page. The minimum cost is 1.
    pub max_cost: u32,
    /// The number of checks that the server makes for a request. This number is smaller than the number of policies
    /// if one check includes several policies.
    pub checks: usize,
}

const fn page(path: &'static str, policies: &'static [&'static str], max_cost: u32) -> Page {
    Page { path, policies, max_cost, checks: policies.len() }
}

/// The pages. Most pages have one policy. `/nested` has two policies with separate checks. `/both` has two
/// policies in one check: the policy `each` counts each client separately, and the policy `all` counts all clients
/// together.
pub const PAGES: [Page; 15] = [
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
    page("/hot", &["hot"], 1),
    page("/held", &["held"], 1),
    page("/export", &["export"], 1),
];

/// The pages whose requests hold a permit until their response ends.
pub const HOLDING: [&str; 2] = ["/held", "/export"];

/// The paths that an attack requests. In this order, they have a policy with two quotas, a sliding-window counter,
/// a policy with a ban, and two policies in one check.
pub const ATTACKED: [&str; 4] = ["/several", "/counter", "/banned", "/both"];

/// The name of the header with the client's name. The limits use the client's name as the key.
pub const CLIENT: &str = "X-Client";
/// The name of the header with the cost of the request.
pub const COST: &str = "X-Cost";
/// The name of the header that requests a response with the status 204. The limit of `/refund` refunds a request if
/// its response has this status.
pub const FREE: &str = "X-Free";
/// The name of the header with the time in milliseconds for which the request holds its permit. Without this header,
/// the request ends immediately.
pub const HOLD: &str = "X-Hold";

/// The default number of servers that share the limits through Redis.
pub const SERVERS: usize = 4;

static QUOTAS: LazyLock<Vec<Vec<Quota>>> = LazyLock::new(|| {
    let quotas = |(_, rates): (&str, &str)| rates.parse::<Quotas>().ok();
    let list = |quotas: Option<Quotas>| quotas.iter().flatten().copied().collect();
    LIMITS.map(|limit| list(quotas(limit))).to_vec()
});

/// Finds a quota by two indexes: the index of the policy in `LIMITS`, and the index of the quota in that policy.
#[must_use]
pub fn quota(policy: usize, quota_index: usize) -> Option<Quota> {
    QUOTAS.get(policy)?.get(quota_index).copied()
}

/// Returns the index of the policy with this name.
#[must_use]
pub fn policy_index(policy: &str) -> Option<usize> {
    LIMITS.iter().position(|(name, _)| *name == policy)
}

/// The failure modes of the servers. If there are more servers than modes, the modes repeat.
pub const MODES: [&str; SERVERS] = ["open", "closed", "local", "open"];
