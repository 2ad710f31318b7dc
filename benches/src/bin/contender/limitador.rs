//! limitador in memory.

use std::collections::HashMap;

use limitador::{
    RateLimiter,
    limit::{Context, Limit, Namespace},
};
use rateguard_benches::{BenchResult, contenders::Scenario};

use super::{
    fixed_window,
    port::{Port, PortDecision},
};

/// The name of the limit and of its variable.
const NAME: &str = "key";
/// More than the keys of any scenario.
const CAPACITY: u64 = 1_000_000;

pub(crate) struct Limitador {
    limiter: RateLimiter,
    namespace: Namespace,
    limit: u32,
}

impl Limitador {
    pub(crate) fn new(scenario: Scenario) -> BenchResult<Self> {
        let (limit, window) = fixed_window::limit(scenario);
        let limiter = RateLimiter::new(CAPACITY);
        let conditions = [];
        let variables = [NAME.try_into().map_err(|error| format!("{error:?}"))?];
        limiter.add_limit(Limit::new(NAME, limit.into(), window.as_secs(), conditions, variables));
        Ok(Self { limiter, namespace: NAME.into(), limit })
    }
}

impl Port for Limitador {
    async fn check(&self, key: String) -> BenchResult<PortDecision> {
        let context = Context::from(HashMap::from([(NAME.to_owned(), key)]));
        let result = self.limiter.check_rate_limited_and_update(&self.namespace, &context, 1)?;
        let counter = result.counters.first().ok_or("no counter")?;
        let reset_after = counter.expires_in().unwrap_or_default().as_secs();
        let remaining = counter.remaining().unwrap_or_default();
        Ok(PortDecision {
            is_allowed: !result.limited,
            retry_after: reset_after,
            headers: Some((self.limit, remaining, reset_after)),
        })
    }
}
