//! A client that retries: after a rejection it waits as long as the response headers say, in any of their dialects.
//!
//! ```sh
//! cargo run --example retrying_client                            # its own server: 4 requests in 2 seconds
//! cargo run --example retrying_client http://127.0.0.1:8080/     # another server
//! ```
//!
//! `actix_rateguard::headers` is the crate `actix-rateguard-headers`. It depends neither on actix nor on an HTTP
//! client, so a client needs only that crate.
//!
//! In a project of your own, this program also needs the feature `read-headers` of `actix-rateguard`, and the
//! dependency `ureq = "3"`.

#![allow(clippy::print_stdout, reason = "it prints its requests")]

use std::{
    env,
    error::Error,
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant, SystemTime},
};

use actix_rateguard::{
    Limit, RateGuard, RateLimit,
    headers::{HeaderDialect, RateLimits},
};
use actix_web::{App, HttpServer, rt::System, web};
use env_logger::Env;
use ureq::{Agent, Body, http::Response};

/// The maximum number of attempts of a request.
const MAX_ATTEMPTS: u32 = 4;

/// If the server requires a longer wait, the client returns an error.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The minimum wait after the first rejection. It doubles after each further one.
const INITIAL_BACKOFF: Duration = Duration::from_millis(500);

/// Sends a GET until it is not rejected, the wait is too long, or the attempts are used up.
fn get_with_retries(agent: &Agent, url: &str) -> Result<Response<Body>, Box<dyn Error>> {
    let mut backoff = INITIAL_BACKOFF;
    for attempts_left in (0..MAX_ATTEMPTS).rev() {
        let response = agent.get(url).call()?;
        let status = response.status().as_u16();
        if !matches!(status, 429 | 503) {
            return Ok(response);
        }
        let server_wait = RateLimits::read(response.headers(), SystemTime::now()).wait();
        // The backoff is the minimum, because the server's wait may be missing or zero.
        let wait = server_wait.unwrap_or_default().max(backoff);
        backoff *= 2;
        if wait > MAX_WAIT {
            return Err(format!("{status}: a wait of {wait:?} is too long").into());
        }
        if attempts_left > 0 {
            println!("  {status}: waiting {wait:?}, {attempts_left} attempts left");
            thread::sleep(wait);
        }
    }
    Err(format!("rejected {MAX_ATTEMPTS} times").into())
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let url = match env::args().nth(1) {
        Some(url) => url,
        None => format!("http://{}/", own_server()?),
    };
    // The client needs the headers of responses with an error status.
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    let start = Instant::now();
    for number in 1..=10 {
        let response = get_with_retries(&agent, &url)?;
        let after = start.elapsed().as_millis();
        println!("request {number:2} after {after:4} ms: {}", response.status());
        for limit in RateLimits::read(response.headers(), SystemTime::now()).limits() {
            if let (Some(remaining), Some(quota)) = (limit.remaining(), limit.quota()) {
                println!("  {}: {remaining} of {quota} left", limit.policy().unwrap_or("limit"));
            }
        }
    }
    Ok(())
}

/// Starts a server that admits 4 requests in 2 seconds, on a port that the system chooses.
fn own_server() -> Result<SocketAddr, Box<dyn Error>> {
    let guard = RateGuard::builder().headers([HeaderDialect::Draft]).build()?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    thread::spawn(|| {
        let server = HttpServer::new(move || {
            App::new()
                .route("/", web::get().to(async || "Hello.\n"))
                .wrap(RateLimit::new(&guard, Limit::new("4/2s").name("hello")))
        });
        System::new().block_on(server.workers(1).listen(listener)?.run())
    });
    Ok(address)
}
