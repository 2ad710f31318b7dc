//! actix-extensible-rate-limit with its headers, and actix-limitation, which has no headers. Their windows are whole
//! seconds.

use std::time::Duration;

use actix_extensible_rate_limit::{
    RateLimiter,
    backend::{
        Backend, SimpleInput, SimpleInputFunctionBuilder, SimpleInputFuture, SimpleOutput,
        redis::RedisBackend,
    },
};
use actix_limitation::Limiter;
use actix_web::{dev::ServiceRequest, error::ErrorBadRequest};
use extensible_redis::{Client, aio::ConnectionManager};
use rateguard_benches::{ACCURACY, BenchResult, HOT_KEY, contenders::Scenario};

use super::key_of;

/// The limit and the window in whole seconds. The cost of a check does not depend on them.
pub(crate) fn limit(scenario: Scenario) -> (u32, Duration) {
    match scenario {
        Scenario::Denied => (1, Duration::from_secs(3600)),
        Scenario::Accuracy => ACCURACY,
        Scenario::HotKey => HOT_KEY,
        Scenario::OneKey | Scenario::ManyKeys => (1_000_000_000, Duration::from_secs(60)),
    }
}

pub(crate) async fn extensible_on_redis(url: &str) -> BenchResult<RedisBackend> {
    let manager = ConnectionManager::new(Client::open(url)?).await?;
    Ok(RedisBackend::builder(manager).build())
}

pub(crate) fn extensible<B>(
    backend: B,
    scenario: Scenario,
) -> RateLimiter<B, SimpleOutput, impl Fn(&ServiceRequest) -> SimpleInputFuture + 'static>
where
    B: Backend<SimpleInput, Output = SimpleOutput> + 'static,
{
    let (limit, window) = limit(scenario);
    let input = SimpleInputFunctionBuilder::new(window, limit.into())
        .custom_fn(|request| key_of(request).ok_or_else(|| ErrorBadRequest("no key")))
        .build();
    RateLimiter::builder(backend, input).add_headers().build()
}

pub(crate) fn limitation(url: &str, scenario: Scenario) -> BenchResult<Limiter> {
    let (limit, window) = limit(scenario);
    let mut builder = Limiter::builder(url);
    Ok(builder.key_by(key_of).limit(limit as usize).period(window).build()?)
}
