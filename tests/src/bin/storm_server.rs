//! Runs an application server in a storm, which is a test that injects random faults: `storm_server URL PREFIX
//! MODE DEADLINE HISTORY SERVERS DEFECT`.
//!
//! The first line of output is the port that the system chose. The server has [the pages of a storm](PAGES), whose
//! limits are stored in the Redis at URL. MODE is the failure mode: `open`, `closed` or `local`. DEADLINE is the
//! deadline of checks in milliseconds. For each call of its store and for each HTTP request, the server writes a line
//! into the file HISTORY. SERVERS is the number of servers that share the limits. DEFECT is `none`, or [a mistake in
//! the protocol of permits or leases](rateguard_tests::storm::defect::Defect) that the judge must find.
//! `/store_replies` returns the number of replies that the server has received from Redis. The server ends when its
//! standard input is closed.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{
    env,
    error::Error,
    io,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use actix_rateguard::{
    Key, Limit, OnError, Policy, RateGuard, RateLimit, RequestPermit, key, rate_limit,
};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::Service as _, web};
use rateguard_tests::storm::{
    TIMEOUT,
    cached_denials::DENIAL_CACHE_TTL,
    limits::{BANS, CLIENT, FREE, HOLD, HOLDING, LIMITS, PAGES, Page},
    recording_store::RecordingStore,
    server_log::{ServerLog, cost, in_request},
    storm_server::WORKERS,
};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, prefix, mode, deadline, history, servers, defect] = <[String; 7]>::try_from(args)
        .map_err(|_| "usage: storm_server URL PREFIX MODE DEADLINE HISTORY SERVERS DEFECT")?;
    let deadline = Duration::from_millis(deadline.parse()?);
    let log = Arc::new(ServerLog::create(Path::new(&history))?);

    let redis = RateGuard::redis(url).prefix(prefix).deadline(deadline);
    let redis = redis.for_attributes(false).build()?;
    let mut guard = RateGuard::builder()
        .store(RecordingStore { redis, log: Arc::clone(&log), defect: defect.parse()? })
        .deadline(deadline)
        .denial_cache_ttl(DENIAL_CACHE_TTL)
        .replicas(servers.parse()?)
        .on_error(match &*mode {
            "open" => OnError::Open,
            "closed" => OnError::Closed,
            "local" => OnError::Local,
            _ => return Err("expected the mode `open`, `closed` or `local`".into()),
        });
    for (name, rates) in LIMITS {
        let mut policy = Policy::new(name, rates)?;
        if let Some((_, ban)) = BANS.iter().find(|(banned, _)| *banned == name) {
            policy = policy.ban(*ban)?;
        }
        guard = guard.policy(policy);
    }
    let guard = guard.build()?;

    let shared_log = Arc::clone(&log);
    let server = HttpServer::new(move || {
        let (log, counted) = (Arc::clone(&shared_log), Arc::clone(&shared_log));
        let guard = guard.clone();
        let store_replies = web::get()
            .to(move || std::future::ready(counted.store_replies.load(Relaxed).to_string()));
        App::new()
            .app_data(guard.clone())
            .app_data(web::Data::from(Arc::clone(&log)))
            .configure(move |config| register(config, &guard))
            .route("/store_replies", store_replies)
            .wrap_fn(move |request, service| {
                let recorded = log.begin_request(&request);
                let number = recorded.as_ref().map_or(0, |recorded| recorded.number);
                let (response, log) = (in_request(number, service.call(request)), log.clone());
                async move {
                    let response = response.await?;
                    if let Some(recorded) = recorded {
                        log.end_request(recorded, &response);
                    }
                    Ok(response)
                }
            })
    });
    // The timeouts are long, because a client on a slow machine may pause for longer than the default timeouts allow.
    let server = server.keep_alive(TIMEOUT).client_request_timeout(TIMEOUT);
    let server = server.workers(WORKERS).bind(("127.0.0.1", 0))?;
    println!("{}", server.addrs().first().ok_or("no address")?.port());
    let running = server.run();
    let handle = running.handle();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        drop(handle.stop(true));
    });
    running.await?;
    Ok(log.finish()?)
}

#[allow(clippy::panic, reason = "a page without a route is a mistake in the list of pages")]
fn register(config: &mut web::ServiceConfig, guard: &RateGuard) {
    let by = |name| Limit::policy(name).key(key::header(CLIENT));
    let limited = |limit| RateLimit::new(guard, limit);
    for Page { path, policies, .. } in &PAGES {
        let resource = web::resource(*path);
        match (*path, *policies) {
            ("/refund", [policy]) => {
                let limit = by(*policy).cost(cost).count("status:200");
                config.service(resource.to(page).wrap(limited(limit)))
            }
            ("/both", [each, all]) => {
                let limits = limited(by(*each)).and(Limit::policy(*all).key(key::global()));
                config.service(resource.to(page).wrap(limits))
            }
            ("/nested", [outer, _]) => {
                config.service(resource.to(nested).wrap(limited(by(*outer))))
            }
            ("/costs", _) => config.route(path, web::get().to(costs)),
            ("/several", _) => config.route(path, web::get().to(several)),
            ("/mixed", _) => config.route(path, web::get().to(mixed)),
            ("/bucket", _) => config.route(path, web::get().to(bucket)),
            (path, [policy]) if HOLDING.contains(&path) => {
                let limit = Limit::policy(*policy).key(client_key);
                config.service(resource.to(held).wrap(limited(limit)))
            }
            (_, [policy]) => {
                let limit = by(*policy).cost(cost);
                config.service(resource.to(page).wrap(limited(limit)))
            }
            _ => panic!("the page {path} has several policies, so it needs its own route"),
        };
    }
}

fn client_key(request: &HttpRequest) -> Option<Key> {
    Some(Key::from(request.headers().get(CLIENT)?.to_str().ok()?))
}

async fn page(request: HttpRequest) -> HttpResponse {
    match request.headers().contains_key(FREE) {
        true => HttpResponse::NoContent().finish(),
        false => HttpResponse::Ok().body("ok"),
    }
}

/// The interval at which a handler queries whether its permit is still valid.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Holds the permit of the request for the time in the request's header, or until the permit is no longer valid.
async fn held(
    permit: RequestPermit,
    request: HttpRequest,
    log: web::Data<ServerLog>,
) -> &'static str {
    let hold = request.headers().get(HOLD).and_then(|hold| hold.to_str().ok()?.parse().ok());
    let end = Instant::now() + Duration::from_millis(hold.unwrap_or(0));
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if !log.poll(&permit) || left.is_zero() {
            return "ok";
        }
        tokio::time::sleep(POLL_INTERVAL.min(left)).await;
    }
}

#[rate_limit(policy = "costs", key = "header:X-Client", cost = cost)]
async fn costs() -> &'static str {
    "ok"
}

#[rate_limit(policy = "several", key = "header:X-Client")]
async fn several() -> &'static str {
    "ok"
}

#[rate_limit(policy = "mixed", key = "header:X-Client", cost = cost)]
async fn mixed() -> &'static str {
    "ok"
}

#[rate_limit(policy = "bucket", key = "header:X-Client")]
async fn bucket() -> &'static str {
    "ok"
}

#[rate_limit(policy = "log", key = "header:X-Client")]
async fn nested() -> &'static str {
    "ok"
}
