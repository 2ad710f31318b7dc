//! A server with one limiter in front of an empty handler: `contender LIMITER SCENARIO REDIS_URL WORKERS`. It
//! prints its address in a line, and serves requests until it is killed.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

mod fixed_window;
mod governor;
mod headers;
mod limitador;
mod plain_port;
mod port;
#[cfg(feature = "telemetry")]
mod telemetry;
mod trypema;

use std::{env, time::Duration};

use actix_extensible_rate_limit::backend::memory::InMemoryBackend;
use actix_rateguard::{
    Algorithm, Limit, OnError, Quota, RateGuard, RateGuardBuilder, RateLimit,
    builder::FallibleStoreConfig, key,
};
use actix_web::{App, HttpServer, Responder, dev::ServiceRequest, get, middleware::from_fn, web};
use rateguard_benches::{BenchResult, HOT_KEY_LEASE, TIMEOUT, contenders::Scenario};

use self::{
    limitador::Limitador,
    plain_port::{MultiplexedPort, PooledPort},
    trypema::Trypema,
};

/// The header with the key.
const KEY: &str = "X-Key";

#[get("/")]
async fn hello() -> impl Responder {
    "Hello."
}

/// Runs a server. The expression wraps the application, which has the handler. Each worker evaluates it.
macro_rules! serve {
    ($workers:ident, $app:ident => $wrapped:expr) => {{
        let server = HttpServer::new(move || {
            let $app = App::new().service(hello);
            $wrapped
        });
        let server = server.workers($workers).bind("127.0.0.1:0")?;
        server.addrs().iter().for_each(|address| println!("{address}"));
        server.run().await?;
    }};
}

#[actix_web::main]
async fn main() -> BenchResult {
    let args: Vec<String> = env::args().skip(1).collect();
    let [limiter, scenario, url, workers] = <[String; 4]>::try_from(args)
        .map_err(|_| "usage: contender LIMITER SCENARIO REDIS_URL WORKERS")?;
    let workers = workers.parse()?;
    let scenario = Scenario::from_name(&scenario).ok_or("unknown scenario")?;
    let (limit, window) = scenario.limit();
    match limiter.as_str() {
        "bare" => serve!(workers, app => app),
        "headers" => serve!(workers, app => app.wrap(headers::ThreeHeaders)),
        "rateguard" => {
            let limit = rate_limit(&RateGuard::builder().build()?, (limit, window))?;
            serve!(workers, app => app.wrap(limit.clone()))
        }
        #[cfg(feature = "telemetry")]
        "rateguard-metrics" | "rateguard-spans" => {
            telemetry::install(&limiter)?;
            let limit = rate_limit(&RateGuard::builder().build()?, (limit, window))?;
            serve!(workers, app => app.wrap(limit.clone()))
        }
        "rateguard-redis" => {
            let limit = rate_limit(&redis_guard(url)?, (limit, window))?;
            serve!(workers, app => app.wrap(limit.clone()))
        }
        "rateguard-leased-redis" => {
            let quota = leased(scenario, Algorithm::SlidingWindow)?;
            let limit = rate_limit_of(&redis_guard(url)?, Limit::new(quota));
            serve!(workers, app => app.wrap(limit.clone()))
        }
        "rateguard-leased-tokens-redis" => {
            let quota = leased(scenario, Algorithm::TokenBucket)?;
            let limit = rate_limit_of(&redis_guard(url)?, Limit::new(quota));
            serve!(workers, app => app.wrap(limit.clone()))
        }
        "rateguard-permit-redis" => {
            let limit = rate_limit_of(&redis_guard(url)?, Limit::new("1000 concurrent"));
            serve!(workers, app => app.wrap(limit.clone()))
        }
        "rateguard-permit-and-rate-redis" => {
            let limit = Limit::new(Quota::new(limit, window)?).concurrent(1_000);
            let limit = rate_limit_of(&redis_guard(url)?, limit);
            serve!(workers, app => app.wrap(limit.clone()))
        }
        "rateguard-redis-no-cache" => {
            let settings =
                RateGuard::redis(url).prefix("rateguard").denial_cache_ttl(Duration::ZERO);
            let limit = rate_limit(&on_redis(settings)?, (limit, window))?;
            serve!(workers, app => app.wrap(limit.clone()))
        }
        "governor" => {
            let config = governor::config(scenario).ok_or("no limit")?;
            serve!(workers, app => app.wrap(actix_governor::Governor::new(&config)))
        }
        "extensible" => {
            let backend = InMemoryBackend::builder().build();
            serve!(workers, app => app.wrap(fixed_window::extensible(backend.clone(), scenario)))
        }
        "extensible-redis" => {
            let backend = fixed_window::extensible_on_redis(&url).await?;
            serve!(workers, app => app.wrap(fixed_window::extensible(backend.clone(), scenario)))
        }
        "limitation-redis" => {
            let limiter = web::Data::new(fixed_window::limitation(&url, scenario)?);
            let middleware = actix_limitation::RateLimiter::default;
            serve!(workers, app => app.wrap(middleware()).app_data(limiter.clone()))
        }
        "limitador" => {
            let port = web::Data::new(Limitador::new(scenario)?);
            let middleware = || from_fn(port::limit::<Limitador, _>);
            serve!(workers, app => app.wrap(middleware()).app_data(port.clone()))
        }
        "trypema" | "trypema-redis" | "trypema-hybrid-redis" => {
            let port = web::Data::new(Trypema::new(&limiter, &url, scenario).await?);
            let middleware = || from_fn(port::limit::<Trypema, _>);
            serve!(workers, app => app.wrap(middleware()).app_data(port.clone()))
        }
        "plain-redis" => {
            let port = web::Data::new(PooledPort::new(&url, (limit, window))?);
            let middleware = || from_fn(port::limit::<PooledPort, _>);
            serve!(workers, app => app.wrap(middleware()).app_data(port.clone()))
        }
        "plain-multiplexed-redis" => {
            let port = MultiplexedPort::new(url, (limit, window));
            let middleware = || from_fn(port::limit::<MultiplexedPort, _>);
            // Each worker has a clone of its own, and so a connection of its own.
            serve!(workers, app => app.wrap(middleware()).app_data(web::Data::new(port.clone())))
        }
        _ => return Err("unknown limiter".into()),
    }
    Ok(())
}

fn redis_guard(url: String) -> BenchResult<RateGuard> {
    on_redis(RateGuard::redis(url).prefix("rateguard"))
}

fn on_redis<S: FallibleStoreConfig>(settings: RateGuardBuilder<S>) -> BenchResult<RateGuard> {
    // A request without a decision is a 503, which makes the measurement fail.
    Ok(settings.on_error(OnError::Closed).deadline(TIMEOUT).build()?)
}

fn rate_limit(guard: &RateGuard, (limit, window): (u32, Duration)) -> BenchResult<RateLimit> {
    Ok(rate_limit_of(guard, Limit::new(Quota::new(limit, window)?)))
}

fn rate_limit_of(guard: &RateGuard, limit: Limit) -> RateLimit {
    RateLimit::new(guard, limit.key(key::header(KEY)))
}

/// The quota with a lease.
fn leased(scenario: Scenario, algorithm: Algorithm) -> BenchResult<Quota> {
    if scenario == Scenario::HotKey {
        let (limit, window) = scenario.limit();
        let quota = Quota::new(limit, window)?.with_algorithm(algorithm)?;
        return Ok(quota.with_lease(HOT_KEY_LEASE, window / 4)?);
    }
    Ok(format!("400000/400ms {algorithm} lease 1000 for 100ms").parse()?)
}

/// The key as text, for limiters that need text.
fn key_of(request: &ServiceRequest) -> Option<String> {
    Some(request.headers().get(KEY)?.to_str().ok()?.to_owned())
}
