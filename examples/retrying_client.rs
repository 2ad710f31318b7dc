//! A client that behaves: when it is refused it waits as long as it is told, in whatever dialect, and then tries again.
//!
//! ```sh
//! cargo run --example retrying_client                            # on a server of its own, 4 requests in 2 seconds
//! cargo run --example retrying_client http://127.0.0.1:8080/     # on another one
//! ```
//!
//! `rateguard::headers` is the crate `actix-rateguard-headers`. It knows neither actix nor any HTTP client, and a program
//! that is a client alone depends on that crate only.

#![allow(clippy::print_stdout, reason = "it talks to whoever tries it")]

use std::{
    env,
    error::Error,
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant, SystemTime},
};

use actix_web::{App, HttpServer, rt::System, web};
use rateguard::{
    RateGuard, RateLimit,
    headers::{HeaderDialect, RateLimits},
};
use ureq::{Agent, Body, http::Response};

/// How often one request is sent at the most.
const TRIES: u32 = 4;

/// Who is told to wait for longer gives up, and leaves it to its caller to come back.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long it waits after the first refusal that tells no wait; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(500);

/// Sends until it is not refused any more, or there is no use in it.
fn get_with_patience(agent: &Agent, url: &str) -> Result<Response<Body>, Box<dyn Error>> {
    let mut pause = PAUSE;
    for tries_left in (0..TRIES).rev() {
        let response = agent.get(url).call()?;
        let status = response.status().as_u16();
        if !matches!(status, 429 | 503) {
            return Ok(response);
        }
        let told = RateLimits::read(response.headers(), SystemTime::now()).wait();
        // Zero would be to call again at once.
        let wait = told.unwrap_or_default().max(pause);
        pause *= 2;
        if wait > LONGEST_WAIT {
            return Err(format!("{status}, and the wait is {wait:?}: not now").into());
        }
        if tries_left > 0 {
            println!("  {status}: waiting {wait:?}, {tries_left} tries left");
            thread::sleep(wait);
        }
    }
    Err(format!("refused {TRIES} times").into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = match env::args().nth(1) {
        Some(url) => url,
        None => format!("http://{}/", own_server()?),
    };
    // A refusal is an answer, and its header fields are what matters.
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    let start = Instant::now();
    for number in 1..=10 {
        let response = get_with_patience(&agent, &url)?;
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

/// A server that admits 4 requests in 2 seconds, on a port that the system chooses.
fn own_server() -> Result<SocketAddr, Box<dyn Error>> {
    let guard = RateGuard::builder().headers([HeaderDialect::Draft]).build()?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    thread::spawn(|| {
        let server = HttpServer::new(move || {
            App::new()
                .route("/", web::get().to(async || "Hello.\n"))
                .wrap(RateLimit::new(&guard, "4/2s").name("hello"))
        });
        System::new().block_on(server.workers(1).listen(listener)?.run())
    });
    Ok(address)
}
