//! Changes under load: no request fails, nothing that was counted is lost, no quota begins anew.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use actix_web::{Responder, get, web};
use rateguard::{RateGuard, RateGuardBuilder, RateLimit, rate_limit};

use super::watching;
use crate::support::{
    PATIENCE, eventually,
    folder::Folder,
    redis_server::RedisServer,
    server::{Server, agent, try_get},
};

const CLIENTS: usize = 4;
const CHANGES: u32 = 20;
/// The limit grows by so many with each change.
const STEP: u32 = 20;
const HIGHEST: u32 = CHANGES * STEP;

const ALGORITHMS: [&str; 3] = ["", " fixed_window", " sliding_window_counter"];

fn file(limit: u32, algorithm: &str) -> String {
    format!("[policies.search]\nrate = \"{limit}/365d{algorithm}\"\nkey = \"global\"\n")
}

#[get("/attribute")]
#[rate_limit(policy = "search", key = "ip")]
async fn attribute() -> impl Responder {
    "ok"
}

/// Asks all the time, and counts what was admitted.
#[derive(Default)]
struct Clients {
    is_over: AtomicBool,
    admitted: AtomicU32,
    /// How many requests of each were answered.
    answered: [AtomicU32; CLIENTS],
}

impl Clients {
    fn ask(&self, client: usize, server: &Server) {
        let agent = agent();
        for path in ["/attribute", "/middleware"].iter().cycle() {
            if self.is_over.load(SeqCst) {
                return;
            }
            let answer = try_get(&agent, &server.url(path)).unwrap();
            assert!((1..=u64::from(HIGHEST)).contains(&answer.number("x-ratelimit-limit")));
            match answer.status {
                200 => self.admitted.fetch_add(1, SeqCst),
                429 => 0,
                _ => panic!("{answer:?}"),
            };
            self.answered[client].fetch_add(1, SeqCst);
        }
    }

    /// Until each of them has so many answers to what it has asked from now on.
    fn wait_for_answers(&self, number: u32) {
        let answered = || self.answered.each_ref().map(|it| it.load(SeqCst));
        // One may be under way.
        let enough = answered().map(|it| it + number + 1);
        eventually("they are answered", || {
            answered().iter().zip(enough).all(|(now, enough)| *now >= enough).then_some(())
        });
    }
}

fn limit(guard: &RateGuard) -> u32 {
    guard.policy("search").unwrap().quotas().as_slice()[0].limit()
}

/// Changes the file again and again while clients ask, and sees that as many were admitted as the highest limit says.
fn change_under_load(builder: RateGuardBuilder, folder: &Folder, path: &str) {
    let guard = builder.deadline(PATIENCE).build().unwrap();
    let server = Server::start({
        let guard = guard.clone();
        move |app| {
            let limit = RateLimit::policy(&guard, "search");
            let ok = web::get().to(async || "ok");
            let resource = web::resource("/middleware").wrap(limit).route(ok);
            app.app_data(guard.clone()).service(attribute).service(resource);
        }
    });
    let (server, clients) = (Arc::new(server), Arc::new(Clients::default()));
    let asking: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (server, clients) = (Arc::clone(&server), Arc::clone(&clients));
            thread::spawn(move || clients.ask(client, &server))
        })
        .collect();
    let put = |text: &str| fs::rename(folder.file("beside.toml", text), path).unwrap();
    for change in 1..=CHANGES {
        // Down, to something that is refused, and up to more than ever, and each time it is counted otherwise.
        let algorithm = |turn: u32| ALGORITHMS[turn as usize % 3];
        let down = STEP * (change / 2).max(1);
        put(&file(down, algorithm(2 * change)));
        eventually("it is lower", || (limit(&guard) == down).then_some(()));
        clients.wait_for_answers(1);
        put("[policies.search]\nrate = \"many\"\n");
        eventually("it is refused", || guard.policies_file().unwrap().error);
        let up = STEP * change;
        put(&file(up, algorithm(2 * change + 1)));
        eventually("it is higher", || (limit(&guard) == up).then_some(()));
        eventually("what is new is taken", || (clients.admitted.load(SeqCst) >= up).then_some(()));
        clients.wait_for_answers(1);
    }
    clients.wait_for_answers(100);
    clients.is_over.store(true, SeqCst);
    for client in asking {
        client.join().expect("no request failed");
    }
    assert_eq!(clients.admitted.load(SeqCst), HIGHEST);
    assert_eq!(guard.failures(), Default::default());
}

#[test]
fn in_memory_nothing_is_lost_and_nothing_begins_anew() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file(1, ""));
    change_under_load(watching(&path), &folder, &path);
}

#[test]
fn on_redis_nothing_is_lost_and_nothing_begins_anew() {
    let (folder, redis) = (Folder::new(), RedisServer::start());
    let path = folder.file("rateguard.toml", &file(1, ""));
    let builder = RateGuard::redis(redis.url())
        .policies_file(&path)
        .policies_file_interval(Duration::from_millis(20))
        .for_attributes(false);
    change_under_load(builder, &folder, &path);
}
