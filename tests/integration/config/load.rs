//! Tests changes of the policies file while clients send requests. No request may fail, no count may be lost, and no
//! quota may be reset.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use actix_rateguard::{Limit, RateGuard, RateLimit, rate_limit};
use actix_web::{Responder, get, web};

use super::with_polling;
use crate::support::{
    TEST_TIMEOUT,
    app::{attribute_guard, set_attribute_guard},
    eventually,
    folder::Folder,
    redis_server::RedisServer,
    server::{Server, agent, try_get},
};

const CLIENTS: usize = 4;
const CHANGES: u32 = 20;
/// The number of units by which each change increases the limit.
const STEP: u32 = 20;
const MAX_LIMIT: u32 = CHANGES * STEP;

const ALGORITHMS: [&str; 3] = ["", " fixed_window", " sliding_window_counter"];

fn file(limit: u32, algorithm: &str) -> String {
    format!("[policies.search]\nrate = \"{limit}/365d{algorithm}\"\nkey = \"global\"\n")
}

#[get("/attribute")]
#[rate_limit(policy = "search", limiter = attribute_guard(), key = "ip")]
async fn attribute() -> impl Responder {
    "ok"
}

/// Clients that send requests without a pause and count the admitted requests.
#[derive(Default)]
struct Clients {
    is_stopped: AtomicBool,
    admitted: AtomicU32,
    /// For each client: the number of responses that it has received.
    responses: [AtomicU32; CLIENTS],
}

impl Clients {
    fn run(&self, client: usize, server: &Server) {
        let agent = agent();
        for path in ["/attribute", "/middleware"].iter().cycle() {
            if self.is_stopped.load(SeqCst) {
                return;
            }
            let response = try_get(&agent, &server.url(path)).unwrap();
            assert!((1..=u64::from(MAX_LIMIT)).contains(&response.number("x-ratelimit-limit")));
            match response.status {
                200 => self.admitted.fetch_add(1, SeqCst),
                429 => 0,
                _ => panic!("{response:?}"),
            };
            self.responses[client].fetch_add(1, SeqCst);
        }
    }

    /// Waits until each client has sent `number` more requests and has received the responses to them.
    fn wait_for_responses(&self, number: u32) {
        let responses = || self.responses.each_ref().map(|it| it.load(SeqCst));
        // A client may still be waiting for the response to a request that it sent earlier. Therefore the test waits
        // for one more response.
        let expected = responses().map(|it| it + number + 1);
        eventually("each client has its responses", || {
            responses().iter().zip(expected).all(|(now, expected)| *now >= expected).then_some(())
        });
    }
}

fn limit(guard: &RateGuard) -> u32 {
    guard.policy("search").unwrap().quotas().as_slice()[0].limit()
}

/// Changes the file while clients send requests. The server must admit exactly as many requests as the highest of all
/// limits allows.
fn change_under_load(guard: RateGuard, folder: &Folder, path: &str) {
    let server = Server::start({
        let guard = guard.clone();
        move |app| {
            let limit = RateLimit::new(&guard, Limit::policy("search"));
            let ok = web::get().to(async || "ok");
            let resource = web::resource("/middleware").wrap(limit).route(ok);
            set_attribute_guard(&guard);
            app.app_data(guard.clone()).service(attribute).service(resource);
        }
    });
    let (server, clients) = (Arc::new(server), Arc::new(Clients::default()));
    let threads: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (server, clients) = (Arc::clone(&server), Arc::clone(&clients));
            thread::spawn(move || clients.run(client, &server))
        })
        .collect();
    let replace = |text: &str| fs::rename(folder.file("temporary.toml", text), path).unwrap();
    for change in 1..=CHANGES {
        // In each round, the limit first becomes lower. Then the file is invalid. Then the limit becomes higher than in
        // the previous round. Each valid version uses a different algorithm.
        let algorithm = |turn: u32| ALGORITHMS[turn as usize % 3];
        let lower = STEP * (change / 2).max(1);
        replace(&file(lower, algorithm(2 * change)));
        eventually("the limit is lower", || (limit(&guard) == lower).then_some(()));
        clients.wait_for_responses(1);
        replace("[policies.search]\nrate = \"many\"\n");
        eventually("the file is rejected", || guard.policies_file().unwrap().error);
        let higher = STEP * change;
        replace(&file(higher, algorithm(2 * change + 1)));
        eventually("the limit is higher", || (limit(&guard) == higher).then_some(()));
        eventually("the new units are used", || {
            (clients.admitted.load(SeqCst) >= higher).then_some(())
        });
        clients.wait_for_responses(1);
    }
    clients.wait_for_responses(100);
    clients.is_stopped.store(true, SeqCst);
    for thread in threads {
        thread.join().expect("a request failed");
    }
    assert_eq!(clients.admitted.load(SeqCst), MAX_LIMIT);
    assert_eq!(guard.failures(), Default::default());
}

#[test]
fn memory_limit_is_exact_during_file_changes() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1, ""));
    change_under_load(with_polling(&path).build().unwrap(), &folder, &path);
}

#[test]
fn redis_limit_is_exact_during_file_changes() {
    let (folder, redis) = (Folder::new(), RedisServer::start());
    let path = folder.file("rateguard.toml", &file(1, ""));
    let guard = RateGuard::redis(redis.url())
        .prefix("test")
        .policies_file(&path)
        .policies_file_interval(Duration::from_millis(20))
        .for_attributes(false)
        .deadline(TEST_TIMEOUT)
        .build()
        .unwrap();
    change_under_load(guard, &folder, &path);
}
