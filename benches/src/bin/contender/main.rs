//! A server with one limiter in front of a handler that does nothing: `contender LIMITER ASKED REDIS_URL`. It says its
//! address in a line, and answers with one worker until it is killed.

#![allow(clippy::print_stdout, reason = "its parent reads it")]

mod fixed_window;
mod governor;
mod headers;
mod plain_port;
#[cfg(feature = "seeing")]
mod seen;

use std::{env, time::Duration};

use actix_extensible_rate_limit::backend::memory::InMemoryBackend;
use actix_web::{App, HttpServer, Responder, dev::ServiceRequest, get, middleware::from_fn, web};
use rateguard::{OnError, Quota, RateGuard, RateGuardBuilder, RateLimit, key};
use rateguard_benches::{GENEROUS, GENEROUS_TO_MANY, Outcome, PATIENCE, STRICT, contenders::Asked};

use self::plain_port::PlainPort;

/// Whose a request is.
const KEY: &str = "X-Key";

#[get("/")]
async fn answer() -> impl Responder {
    "Hello."
}

/// Serves what this makes of an application with the handler, for each worker.
macro_rules! serve {
    ($app:ident => $wrapped:expr) => {{
        let server = HttpServer::new(move || {
            let $app = App::new().service(answer);
            $wrapped
        });
        let server = server.workers(1).bind("127.0.0.1:0")?;
        server.addrs().iter().for_each(|address| println!("{address}"));
        server.run().await?;
    }};
}

#[actix_web::main]
async fn main() -> Outcome {
    let args: Vec<String> = env::args().skip(1).collect();
    let [limiter, asked, url] =
        <[String; 3]>::try_from(args).map_err(|_| "usage: contender LIMITER ASKED REDIS_URL")?;
    let asked = Asked::from_word(&asked).ok_or("what is asked?")?;
    let (limit, window) = match asked {
        Asked::OneKey => GENEROUS,
        Asked::ManyKeys => GENEROUS_TO_MANY,
        Asked::Denied => STRICT,
    };
    match limiter.as_str() {
        "bare" => serve!(app => app),
        "headers" => serve!(app => app.wrap(headers::ThreeHeaders)),
        "rateguard" => {
            let limit = rate_guard(RateGuard::builder(), (limit, window))?;
            serve!(app => app.wrap(limit.clone()))
        }
        #[cfg(feature = "seeing")]
        "rateguard-seen-metrics" | "rateguard-seen-spans" => {
            seen::listen(&limiter)?;
            let limit = rate_guard(RateGuard::builder(), (limit, window))?;
            serve!(app => app.wrap(limit.clone()))
        }
        "rateguard-redis" => {
            let limit = rate_guard(RateGuard::redis(url), (limit, window))?;
            serve!(app => app.wrap(limit.clone()))
        }
        "rateguard-redis-asking" => {
            let settings = RateGuard::redis(url).remember_denials(Duration::ZERO);
            let limit = rate_guard(settings, (limit, window))?;
            serve!(app => app.wrap(limit.clone()))
        }
        "governor" => {
            let config = governor::config(asked).ok_or("no limit")?;
            serve!(app => app.wrap(actix_governor::Governor::new(&config)))
        }
        "extensible" => {
            let backend = InMemoryBackend::builder().build();
            serve!(app => app.wrap(fixed_window::extensible(backend.clone(), asked)))
        }
        "extensible-redis" => {
            let backend = fixed_window::extensible_on_redis(&url).await?;
            serve!(app => app.wrap(fixed_window::extensible(backend.clone(), asked)))
        }
        "limitation-redis" => {
            let limiter = web::Data::new(fixed_window::limitation(&url, asked)?);
            let middleware = actix_limitation::RateLimiter::default;
            serve!(app => app.wrap(middleware()).app_data(limiter.clone()))
        }
        "plain-redis" => {
            let port = web::Data::new(PlainPort::new(&url, (limit, window))?);
            serve!(app => app.wrap(from_fn(plain_port::limit)).app_data(port.clone()))
        }
        _ => return Err("no such limiter".into()),
    }
    Ok(())
}

fn rate_guard(guard: RateGuardBuilder, (limit, window): (u32, Duration)) -> Outcome<RateLimit> {
    // Where nothing was decided the answer is 503, and the measurement fails.
    let guard = guard.on_error(OnError::Closed).deadline(PATIENCE).build()?;
    Ok(RateLimit::new(&guard, Quota::new(limit, window)?).by(key::header(KEY)))
}

/// The same for limiters that take text.
fn key_of(request: &ServiceRequest) -> Option<String> {
    Some(request.headers().get(KEY)?.to_str().ok()?.to_owned())
}
