//! Redis away, killed, frozen, restarted: no request fails, none waits, and limiting resumes by itself.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, web};
use futures_util::future::join_all;
use rateguard::{Decision, Key, Policy, RateGuard, StoreError, rate_limit};

use crate::support::{
    eventually,
    redis_server::{RedisServer, free_port, url},
    server::{self, Server},
};

const DEADLINE: Duration = Duration::from_millis(100);
/// The deadline and a little, on a machine that does much else.
const AT_MOST: Duration = Duration::from_millis(1_500);

#[rate_limit(limit = 3, window = 3600)]
async fn limited() -> HttpResponse {
    HttpResponse::Ok().body("ok")
}

/// A server with one limited page, on this guard.
fn serve(guard: RateGuard) -> Server {
    Server::start(move |app| {
        app.app_data(guard.clone()).route("/", web::get().to(limited));
    })
}

/// Asks until the answer was decided by Redis, and never waits long for one.
fn until_limited(site: &Server) -> server::Answer {
    eventually("decisions are made again", || {
        let answer = ask(site);
        answer.header("x-ratelimit-remaining").is_some().then_some(answer)
    })
}

fn ask(site: &Server) -> server::Answer {
    let start = Instant::now();
    let answer = server::get(&site.url("/"));
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
    assert!(matches!(answer.status, 200 | 429), "{answer:?}");
    answer
}

fn refuses_the_fourth(site: &Server) {
    assert_eq!([200, 200, 429], [ask(site).status, ask(site).status, ask(site).status]);
}

#[test]
fn a_server_starts_without_redis_and_uses_it_when_it_is_there() {
    let port = free_port();
    let guard = RateGuard::redis(url(port)).deadline(DEADLINE).build().unwrap();
    let site = serve(guard.clone());
    for _ in 0..20 {
        let answer = ask(&site);
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, None));
    }
    assert_eq!(guard.failures().open, 20);

    let _redis = RedisServer::start_at(port);
    assert_eq!(until_limited(&site).number("x-ratelimit-remaining"), 2);
    refuses_the_fourth(&site);
}

#[test]
fn a_redis_that_is_killed_and_restarted_empty_is_used_again() {
    let mut redis = RedisServer::start();
    let site = serve(redis.settings("killed").deadline(DEADLINE).build().unwrap());
    until_limited(&site);
    refuses_the_fourth(&site);

    redis.kill();
    for _ in 0..50 {
        let answer = ask(&site);
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, None));
    }

    redis.restart();
    // It has forgotten the script and the counts.
    assert_eq!(until_limited(&site).number("x-ratelimit-remaining"), 2);
    refuses_the_fourth(&site);
}

#[test]
fn a_frozen_redis_costs_no_more_than_the_deadline_and_is_used_again() {
    let redis = RedisServer::start();
    let site = serve(redis.settings("frozen").deadline(DEADLINE).build().unwrap());
    until_limited(&site);

    redis.freeze();
    for _ in 0..30 {
        let answer = ask(&site);
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, None));
    }
    redis.thaw();
    until_limited(&site);
    // The count is still there, and what was asked meanwhile may have been added to it.
    eventually("the limit is reached", || (ask(&site).status == 429).then_some(()));
}

#[tokio::test]
async fn checks_that_were_given_up_do_not_count_when_redis_wakes() {
    let redis = RedisServer::start();
    let guard = redis.settings("late").deadline(DEADLINE).build().unwrap();
    let policy = Policy::new("p", "1000/hour").unwrap();
    let key = Key::global();
    let first = eventually_checked(&guard, &policy, &key).await;
    assert_eq!(first.remaining(), 999);
    redis.freeze();
    let checks = join_all((0..50).map(|_| guard.check(&policy, &key))).await;
    assert!(checks.iter().all(Result::is_err));
    redis.thaw();
    assert_eq!(eventually_checked(&guard, &policy, &key).await.remaining(), 998);
}

/// A decision, as soon as there is one again.
async fn eventually_checked(guard: &RateGuard, policy: &Policy, key: &Key) -> Decision {
    let start = Instant::now();
    loop {
        if let Ok(decision) = guard.check(policy, key).await {
            return decision;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no decision");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_redis_that_stays_frozen_costs_nothing_after_a_while() {
    let redis = RedisServer::start();
    let guard = redis.settings("stuck").deadline(DEADLINE).build().unwrap();
    let policy = Policy::new("p", "1000/hour").unwrap();
    guard.check(&policy, &Key::global()).await.unwrap();
    redis.freeze();
    let start = Instant::now();
    loop {
        let asked = Instant::now();
        let unavailable = guard.check(&policy, &Key::global()).await.unwrap_err();
        assert!(asked.elapsed() < AT_MOST);
        // Once the attempt to connect anew has failed, nobody waits for Redis any more.
        if unavailable.cause() == StoreError::Unreachable {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60));
    }
    let start = Instant::now();
    let mut checks = 0;
    while start.elapsed() < Duration::from_millis(200) {
        let _ = guard.check(&policy, &Key::global()).await;
        checks += 1;
    }
    // At a deadline each there would be two.
    assert!(checks > 50, "{checks}");
}

#[test]
fn under_load_no_check_waits_whatever_happens_to_redis() {
    let mut redis = RedisServer::start();
    let guard = redis.settings("load").deadline(DEADLINE).build().unwrap();
    let policy = Policy::new("p", "1000000/hour").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let decided = Arc::new(AtomicU64::new(0));
    let longest = Arc::new(AtomicU64::new(0));

    let load: Vec<_> = (0..2)
        .map(|thread| {
            let (guard, policy) = (guard.clone(), policy.clone());
            let (stop, decided, longest) = (stop.clone(), decided.clone(), longest.clone());
            thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    while !stop.load(SeqCst) {
                        let checks = (0..16_u32).map(async |task| {
                            let start = Instant::now();
                            let answer = guard.check(&policy, &Key::from(thread * 16 + task)).await;
                            decided.fetch_add(u64::from(answer.is_ok()), SeqCst);
                            longest.fetch_max(start.elapsed().as_millis() as u64, SeqCst);
                        });
                        futures_util::future::join_all(checks).await;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
            })
        })
        .collect();

    let resumes = |what| {
        let before = decided.load(SeqCst);
        eventually(what, || (decided.load(SeqCst) > before + 100).then_some(()));
    };
    resumes("decisions at first");
    for _round in 0..2 {
        redis.kill();
        thread::sleep(Duration::from_millis(200));
        redis.restart();
        resumes("decisions after a restart");
        redis.freeze();
        thread::sleep(Duration::from_millis(400));
        redis.thaw();
        resumes("decisions after a freeze");
    }
    stop.store(true, SeqCst);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    let longest = Duration::from_millis(longest.load(SeqCst));
    assert!(longest < AT_MOST, "{longest:?}");
}

#[tokio::test]
async fn a_primary_that_became_a_replica_is_left_for_new_connections_at_a_measured_pace() {
    let redis = RedisServer::start();
    let guard = redis.settings("demoted").deadline(DEADLINE).build().unwrap();
    let policy = Policy::new("p", "1000000/hour").unwrap();
    let mut client = redis.client();
    let mut connections_so_far = || -> u64 {
        let info: String = redis::cmd("INFO").arg("stats").query(&mut client).unwrap();
        let (_, rest) = info.split_once("total_connections_received:").unwrap();
        rest.lines().next().unwrap().parse().unwrap()
    };
    let mut replica_of = {
        let mut client = redis.client();
        move |host: &str, port: &str| {
            let _: () = redis::cmd("REPLICAOF").arg(host).arg(port).query(&mut client).unwrap();
        }
    };
    let wait_for = async |answered: bool| {
        let start = Instant::now();
        loop {
            let answer = guard.check(&policy, &Key::global()).await;
            if answer.is_ok() == answered {
                return answer.err();
            }
            assert!(start.elapsed() < Duration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    wait_for(true).await;
    let before = connections_so_far();
    replica_of("127.0.0.1", &free_port().to_string());
    let unavailable = wait_for(false).await.unwrap();
    assert_eq!(unavailable.cause(), StoreError::NotReady);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        assert!(guard.check(&policy, &Key::global()).await.is_err());
    }
    // Another server may answer at that address now; but nobody is flooded with connections to find out.
    let made = connections_so_far() - before;
    assert!((2..50).contains(&made), "{made}");
    replica_of("NO", "ONE");
    wait_for(true).await;
}

/// A server that treats its connections in this way; returns where it is and how many it had.
fn strange_server(treat: impl Fn(TcpStream) + Send + Sync + 'static) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = url(listener.local_addr().unwrap().port());
    let connections = Arc::new(AtomicU64::new(0));
    let (counter, treat) = (connections.clone(), Arc::new(treat));
    thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, SeqCst);
            let treat = treat.clone();
            thread::spawn(move || treat(stream.unwrap()));
        }
    });
    (address, connections)
}

/// A server that answers each script call with the next of these replies, and everything else with `OK`.
fn answers_in_turn(replies: &'static [&'static str]) -> String {
    let turn = AtomicU64::new(0);
    let (url, _) = strange_server(move |stream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut next = || lines.next()?.ok();
        let mut stream = stream;
        while let Some(head) = next() {
            let words: Option<Vec<String>> =
                (0..head[1..].parse().unwrap()).map(|_| next().and_then(|_| next())).collect();
            let Some(words) = words else { return };
            let reply = if words[0].starts_with("EVAL") {
                replies[turn.fetch_add(1, SeqCst) as usize % replies.len()]
            } else {
                "+OK"
            };
            if stream.write_all(format!("{}\r\n", reply.replace(' ', "\r\n")).as_bytes()).is_err() {
                return;
            }
        }
    });
    url
}

#[tokio::test]
async fn a_server_whose_clock_was_set_forward_is_asked_once_more() {
    // It is an hour later there than it said before, and finds late what is not.
    const REPLIES: &[&str] = &[
        "*5 :1 :1700000000000000 :9 :60000000 :0",
        "*2 :-1 :1700003600000000",
        "*5 :1 :1700003600000100 :8 :60000000 :0",
    ];
    let guard = RateGuard::redis(answers_in_turn(REPLIES)).deadline(AT_MOST).build().unwrap();
    let (policy, key) = (Policy::new("p", "10/minute").unwrap(), Key::global());
    for remaining in [9, 8, 9, 8] {
        let decision = eventually_checked(&guard, &policy, &key).await;
        assert_eq!(decision.remaining(), remaining);
    }
}

#[tokio::test]
async fn a_server_that_finds_everything_late_is_asked_no_third_time() {
    let url = answers_in_turn(&["*2 :-1 :1700003600000000"]);
    let guard = RateGuard::redis(url).deadline(AT_MOST).build().unwrap();
    let (policy, key) = (Policy::new("p", "10/minute").unwrap(), Key::global());
    let answered = Instant::now();
    let cause = guard.check(&policy, &key).await.unwrap_err().cause();
    assert!([StoreError::Timeout, StoreError::Unreachable].contains(&cause));
    assert!(answered.elapsed() < 2 * AT_MOST);
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_no_more_than_the_deadline() {
    let (silent, _) = strange_server(|stream| {
        thread::sleep(Duration::from_secs(60));
        drop(stream);
    });
    let guard = RateGuard::redis(silent).deadline(DEADLINE).build().unwrap();
    let policy = Policy::new("p", "1/hour").unwrap();
    let start = Instant::now();
    let unavailable = guard.check(&policy, &Key::global()).await.unwrap_err();
    assert_eq!(unavailable.cause(), StoreError::Timeout);
    // The attempt to connect goes on for longer.
    assert!(start.elapsed() < 9 * DEADLINE, "{:?}", start.elapsed());
}

#[tokio::test]
async fn servers_that_hang_up_or_talk_nonsense_are_asked_at_a_measured_pace() {
    let hang_up = |stream: TcpStream| drop(stream);
    let nonsense = |mut stream: TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    };
    // It answers, but later than anybody waits.
    let slow = |mut stream: TcpStream| {
        let mut request = [0; 4096];
        while matches!(stream.read(&mut request), Ok(1..)) {
            thread::sleep(3 * DEADLINE);
            let _ = stream.write_all(b"+OK\r\n+OK\r\n");
        }
    };
    for (address, connections) in
        [strange_server(hang_up), strange_server(nonsense), strange_server(slow)]
    {
        let guard = RateGuard::redis(address).deadline(DEADLINE).build().unwrap();
        let policy = Policy::new("p", "1/hour").unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) {
            assert!(guard.check(&policy, &Key::global()).await.is_err());
        }
        let made = connections.load(SeqCst);
        assert!((1..50).contains(&made), "{made}");
    }
}

#[tokio::test]
async fn a_server_that_cuts_idle_connections_off_fails_no_check() {
    let redis = RedisServer::start_with(&["--timeout", "3"]);
    let guard = redis.settings("idle").deadline(Duration::from_secs(10)).build().unwrap();
    let policy = Policy::new("p", "9/hour").unwrap();
    for _ in 0..2 {
        assert!(guard.check(&policy, &Key::global()).await.is_ok());
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    assert!(guard.check(&policy, &Key::global()).await.is_ok());
}

#[tokio::test]
async fn callers_without_patience_do_not_hide_a_dead_connection() {
    let redis = RedisServer::start();
    let guard = redis.settings("impatient").deadline(Duration::from_secs(2)).build().unwrap();
    let policy = Policy::new("p", "1000000/hour").unwrap();
    guard.check(&policy, &Key::global()).await.unwrap();
    redis.freeze();
    let (start, key) = (Instant::now(), Key::global());
    loop {
        let check = guard.check(&policy, &key);
        if let Ok(answer) = tokio::time::timeout(Duration::from_millis(50), check).await {
            // Nobody waited for the deadline, and yet it was found out.
            assert!(answer.is_err());
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}

#[tokio::test]
async fn cancelled_checks_disturb_no_others() {
    let redis = RedisServer::start();
    let guard = redis.guard("cancelled");
    let policy = Policy::new("p", "1/hour").unwrap();
    let mut admitted = 0;
    for check in 0..2_000_u32 {
        // Some are given up at once, some on their way, some not at all; each key is asked for twice.
        let key = Key::from(check / 2);
        let patience = Duration::from_micros(u64::from(check % 7) * 40);
        match tokio::time::timeout(patience, guard.check(&policy, &key)).await {
            Ok(decision) => admitted += u32::from(decision.unwrap().is_allowed()),
            Err(_) => continue,
        }
    }
    // A reply that went to another check would admit a key twice.
    assert!(admitted <= 1_000, "{admitted}");
    let key = Key::from("afterwards");
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    assert!(!guard.check(&policy, &key).await.unwrap().is_allowed());
}

#[test]
fn a_worker_that_blocks_does_not_stall_the_checks_of_others() {
    let redis = RedisServer::start();
    let settings = redis.settings("blocked");
    block_a_worker(settings.deadline(Duration::from_secs(10)).build().unwrap());
}

/// Checks while the runtime that checked first is blocked, and when it is gone.
pub fn block_a_worker(guard: RateGuard) {
    let policy = Policy::new("p", "1000/hour").unwrap();
    let check = |guard: RateGuard, policy: Policy| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move { guard.check(&policy, &Key::global()).await.unwrap() });
    };
    // The first runtime that used the connection is blocked, then gone.
    let (blocked, go_on) = std::sync::mpsc::channel::<()>();
    let blocking = thread::spawn({
        let (guard, policy) = (guard.clone(), policy.clone());
        move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                guard.check(&policy, &Key::global()).await.unwrap();
                go_on.recv().unwrap();
            });
        }
    });
    for _ in 0..10 {
        check(guard.clone(), policy.clone());
    }
    blocked.send(()).unwrap();
    blocking.join().unwrap();
    check(guard, policy);
}

#[test]
fn a_dropped_guard_leaves_neither_thread_nor_connection() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let mut connections = || -> usize {
        let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut client).unwrap();
        list.lines().count()
    };
    let guards: Vec<_> = (0..5).map(|_| redis.guard("dropped")).collect();
    eventually("all are connected", || (connections() == 6).then_some(()));
    drop(guards);
    eventually("all are gone", || (connections() == 1).then_some(()));
}
