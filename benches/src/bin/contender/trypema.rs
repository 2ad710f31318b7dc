//! trypema in memory, on Redis, and as a hybrid of both. Its sliding windows consist of buckets of 100 ms, the default.

use std::{sync::Arc, time::Duration};

use rateguard_benches::{BenchResult, TIMEOUT, contenders::Scenario};
use redis::{Client, aio::ConnectionManagerConfig};
use trypema::{
    RateLimit, RateLimitDecision, RateLimiterBuilder, WindowSize,
    hybrid::HybridRateLimiterProvider,
    local::LocalRateLimiterProvider,
    redis::{ConnectionManager, RedisKey, RedisRateLimiterProvider},
};

use super::{
    fixed_window,
    port::{Port, PortDecision},
};

pub(crate) struct Trypema {
    provider: Provider,
    rate: RateLimit,
}

enum Provider {
    Local(Arc<LocalRateLimiterProvider>),
    Redis(Arc<RedisRateLimiterProvider>),
    Hybrid(Arc<HybridRateLimiterProvider>),
}

impl Trypema {
    pub(crate) async fn new(limiter: &str, url: &str, scenario: Scenario) -> BenchResult<Self> {
        let (limit, window) = fixed_window::limit(scenario);
        let size = WindowSize::seconds(window.as_secs())?;
        let provider = match limiter {
            "trypema-redis" => {
                let builder = RedisRateLimiterProvider::builder(connect(url).await?);
                Provider::Redis(builder.window_size(size).build()?)
            }
            "trypema-hybrid-redis" => {
                let builder = HybridRateLimiterProvider::builder(connect(url).await?);
                Provider::Hybrid(builder.window_size(size).build()?)
            }
            _ => Provider::Local(LocalRateLimiterProvider::builder().window_size(size).build()?),
        };
        Ok(Self { provider, rate: RateLimit::per_second(f64::from(limit) / window.as_secs_f64())? })
    }
}

async fn connect(url: &str) -> BenchResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new().set_response_timeout(Some(TIMEOUT));
    Ok(ConnectionManager::new_with_config(Client::open(url)?, config).await?)
}

impl Port for Trypema {
    async fn check(&self, key: String) -> BenchResult<PortDecision> {
        let decision = match &self.provider {
            Provider::Local(provider) => provider.absolute().inc(&key, &self.rate, 1),
            Provider::Redis(provider) => {
                provider.absolute().inc(&RedisKey::new(key)?, &self.rate, 1).await?
            }
            Provider::Hybrid(provider) => {
                provider.absolute().inc(&RedisKey::new(key)?, &self.rate, 1).await?
            }
        };
        let (is_allowed, retry_after) = match decision {
            RateLimitDecision::Allowed => (true, Duration::ZERO),
            RateLimitDecision::Suppressed { is_allowed, .. } => (is_allowed, Duration::ZERO),
            RateLimitDecision::Rejected { retry_after, .. } => (false, retry_after),
        };
        Ok(PortDecision { is_allowed, retry_after: retry_after.as_secs() + 1, headers: None })
    }
}
