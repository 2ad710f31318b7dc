//! Those who do not heed denials, and requests that count for more.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, Responder,
    dev::{Service, ServiceResponse},
    error::ErrorBadGateway,
    get, post,
    test::{TestRequest, init_service},
    web,
};
use futures_util::future::join_all;
use rateguard::{
    Ban, BanError, Decision, Key, MemoryStore, Penalty, Policy, PolicyError, RateGuard, RateLimit,
    StoreError, rate_limit,
    store::{Answer, Charge, Operation, Store},
    test_util::{self, ManualClock, TokioClock},
};

use crate::support::{
    app::{from_client, get, send, statuses},
    redis_server::RedisServer,
};

const SECOND: Duration = Duration::from_secs(1);

fn login() -> Policy {
    Policy::new("login", "2/10s").unwrap().ban("3/minute for 30s up to 2m").unwrap()
}

async fn check(guard: &RateGuard, policy: &Policy, key: &Key) -> Decision {
    guard.check(policy, key).await.unwrap()
}

#[actix_web::test]
async fn the_last_denial_of_many_is_a_ban_and_the_next_ban_is_longer() {
    let (guard, clock) = test_util::guard();
    let (policy, key) = (login(), Key::from("ann"));
    for expected in [30, 60, 120, 120] {
        for _ in 0..2 {
            assert!(check(&guard, &policy, &key).await.is_allowed());
        }
        for _ in 0..2 {
            let denied = check(&guard, &policy, &key).await;
            assert_eq!((denied.is_allowed(), denied.banned_for()), (false, None));
            assert_eq!(denied.retry_after(), Some(10 * SECOND));
        }
        let length = expected * SECOND;
        let banned = check(&guard, &policy, &key).await;
        assert_eq!((banned.is_allowed(), banned.banned_for()), (false, Some(length)));
        assert_eq!((banned.policy(), banned.limit(), banned.remaining()), ("login", 2, 0));
        assert_eq!((banned.retry_after(), banned.reset_after()), (Some(length), length));

        // It is denied whatever its quota says, and is not banned for longer for asking.
        clock.advance(20 * SECOND);
        for _ in 0..10 {
            let banned = check(&guard, &policy, &key).await;
            assert_eq!((banned.banned_for(), banned.remaining()), (Some(length - 20 * SECOND), 0));
        }
        assert_eq!(
            guard.peek(&policy, &key).await.unwrap().banned_for(),
            Some(length - 20 * SECOND)
        );
        assert!(check(&guard, &policy, &Key::from("bob")).await.is_allowed());
        clock.advance(length - 20 * SECOND - Duration::from_micros(1));
        assert!(!check(&guard, &policy, &key).await.is_allowed());
        clock.advance(Duration::from_micros(1));
    }
}

#[actix_web::test]
async fn who_heeds_denials_is_never_banned_and_bans_are_forgotten_in_time() {
    let (guard, clock) = test_util::guard();
    let (policy, key) = (login(), Key::from("ann"));
    for _ in 0..100 {
        let decision = check(&guard, &policy, &key).await;
        assert_eq!(decision.banned_for(), None);
        clock.advance(decision.retry_after().unwrap_or(Duration::ZERO));
        // Two denials a minute at the most.
        clock.advance(10 * SECOND);
    }
    let ban = async || loop {
        if let Some(ban) = check(&guard, &policy, &key).await.banned_for() {
            return ban;
        }
    };
    assert_eq!(ban().await, 30 * SECOND);
    clock.advance(30 * SECOND);
    assert_eq!(ban().await, 60 * SECOND);
    clock.advance(86_400 * SECOND);
    assert_eq!(ban().await, 30 * SECOND);
}

#[actix_web::test]
async fn a_reset_lifts_a_ban() {
    let (guard, clock) = test_util::guard();
    let (policy, key) = (login(), Key::from("ann"));
    for _ in 0..2 {
        for _ in 0..5 {
            check(&guard, &policy, &key).await;
        }
        assert_eq!(guard.peek(&policy, &key).await.unwrap().banned_for(), Some(30 * SECOND));
        guard.reset(&policy, &key).await.unwrap();
        assert!(check(&guard, &policy, &key).await.is_allowed());
        clock.advance(10 * SECOND);
    }
}

#[actix_web::test]
async fn two_policies_in_one_decision_ban_each_for_itself() {
    let (guard, _clock) = test_util::guard();
    let tight = Policy::new("tight", "1/10s").unwrap().ban("2/minute for 30s").unwrap();
    let loose = Policy::new("loose", "100/10s").unwrap().ban("2/minute for 90s").unwrap();
    let (user, tenant) = (Key::from("ann"), Key::from("acme"));
    let both = guard.request(&tight, &user).and(&loose, &tenant);
    assert!(both.check().await.unwrap().is_allowed());
    assert_eq!(both.check().await.unwrap().banned_for(), None);
    let banned = both.check().await.unwrap();
    assert_eq!((banned.policy(), banned.banned_for()), ("tight", Some(30 * SECOND)));
    // The tenant's other users are not.
    assert!(check(&guard, &loose, &tenant).await.is_allowed());
    assert_eq!(both.peek().await.unwrap().standings().len(), 2);
}

#[actix_web::test]
async fn every_server_knows_of_a_ban_which_begins_once() {
    let redis = RedisServer::start();
    let guard = || redis.settings("bans").deadline(10 * SECOND).build().unwrap();
    let guards = [guard(), guard(), guard()];
    let policy = Policy::new("login", "2/hour").unwrap().ban("20/hour for 1h up to 8h").unwrap();
    let key = Key::from("ann");
    let checks = guards.iter().cycle().take(300).map(|guard| check(guard, &policy, &key));
    let decisions = join_all(checks).await;
    assert_eq!(decisions.iter().filter(|it| it.is_allowed()).count(), 2);
    let hour = 3_600 * SECOND;
    for guard in &guards {
        let ban = check(guard, &policy, &key).await.banned_for().unwrap();
        assert!((hour - 60 * SECOND..=hour).contains(&ban), "{ban:?}: it was one ban");
    }
    guards[0].reset(&policy, &key).await.unwrap();
    assert!(check(&guards[1], &policy, &key).await.is_allowed());
}

/// A store that fails at, or takes its time for, what the test says.
struct Hindered<F> {
    store: MemoryStore,
    hinder: F,
}

impl<F> Store for Hindered<F>
where
    F: Fn(Operation, &[Charge<'_>]) -> Option<Hindrance> + Send + Sync,
{
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        match (self.hinder)(operation, charges) {
            None => self.store.apply(operation, charges),
            Some(Hindrance::Fails) => Answer::Now(Err(StoreError::Unreachable)),
            Some(Hindrance::DoneAndFails) => {
                let _ = self.store.apply(operation, charges);
                Answer::Now(Err(StoreError::Disconnected))
            }
            Some(Hindrance::Takes(time)) => Answer::Later(Box::pin(async move {
                tokio::time::sleep(time).await;
                self.store.apply(operation, charges).get().await
            })),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Hindrance {
    Fails,
    DoneAndFails,
    Takes(Duration),
}

fn hindered(
    clock: impl rateguard::Clock,
    hinder: impl Fn(Operation, &[Charge<'_>]) -> Option<Hindrance> + Send + Sync + 'static,
) -> RateGuard {
    let store = MemoryStore::new().clock(clock);
    RateGuard::builder().store(Hindered { store, hinder }).build().unwrap()
}

#[actix_web::test]
async fn a_ban_whose_steps_fail_begins_with_the_next_denial() {
    use Operation::{Check, Peek, Reset};
    for (name, at) in [
        ("login{offences}", Check),
        ("login{banned}", Check),
        ("login{banned}", Peek),
        ("login{offences}", Reset),
    ] {
        for hindrance in [Hindrance::Fails, Hindrance::DoneAndFails] {
            let clock = ManualClock::new();
            let fails = AtomicBool::new(true);
            // The third denial would be the ban's.
            let denials = AtomicU32::new(0);
            let guard = hindered(clock.clone(), move |operation, charges| {
                let is_it = operation == at && charges[0].bucket.name() == name;
                let is_last = name != "login{offences}"
                    || at == Reset
                    || (is_it && denials.fetch_add(1, Relaxed) == 2);
                (is_it && is_last && fails.swap(false, Relaxed)).then_some(hindrance)
            });
            let (policy, key) = (login(), Key::from("ann"));
            for _ in 0..5 {
                let decision = check(&guard, &policy, &key).await;
                // Whatever is told is no sooner than the truth.
                if let Some(ban) = guard.peek(&policy, &key).await.unwrap().banned_for() {
                    assert_eq!(decision.retry_after(), Some(ban), "{name} {at:?} {hindrance:?}");
                }
            }
            let denied = check(&guard, &policy, &key).await;
            assert_eq!(denied.banned_for(), Some(30 * SECOND), "{name} {at:?} {hindrance:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_far_away_bans_as_well() {
    let guard =
        hindered(TokioClock::new(), |_, _| Some(Hindrance::Takes(Duration::from_millis(40))));
    let (policy, key) = (login(), Key::from("ann"));
    let mut bans = Vec::new();
    for _ in 0..6 {
        bans.push(check(&guard, &policy, &key).await.banned_for().is_some());
    }
    assert_eq!(bans, [false, false, false, false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn nobody_escapes_a_ban_by_going_away() {
    let step = Duration::from_millis(20);
    for given_up_after in (1..140).step_by(3).map(Duration::from_millis) {
        let guard = hindered(TokioClock::new(), move |_, _| Some(Hindrance::Takes(step)));
        let (policy, key) = (login(), Key::from("ann"));
        for _ in 0..4 {
            assert_eq!(check(&guard, &policy, &key).await.banned_for(), None);
        }
        // The denial that begins the ban.
        let _ = tokio::time::timeout(given_up_after, guard.check(&policy, &key)).await;
        let mut banned = check(&guard, &policy, &key).await.banned_for();
        if banned.is_none() {
            // It was given up before it was counted.
            assert!(given_up_after <= 2 * step, "{given_up_after:?}");
            banned = check(&guard, &policy, &key).await.banned_for();
        }
        assert!(banned.is_some_and(|ban| ban <= 30 * SECOND), "{given_up_after:?} {banned:?}");
    }
}

#[actix_web::test]
async fn a_full_store_bans_nobody_for_others() {
    let clock = ManualClock::new();
    let store = MemoryStore::new().clock(clock.clone()).max_keys(10);
    let guard = RateGuard::builder().store(store).build().unwrap();
    let policy = Policy::new("p", "1/minute").unwrap().ban("1/minute for 1h").unwrap();
    for number in 0..2_000 {
        // Each is denied once, in its own count or in one that it shares.
        check(&guard, &policy, &Key::from(number)).await;
        check(&guard, &policy, &Key::from(number)).await;
    }
    clock.advance(61 * SECOND);
    let mut denied = 0;
    for number in 10_000..10_500 {
        let decision = check(&guard, &policy, &Key::from(number)).await;
        assert_eq!(decision.banned_for(), None);
        denied += u32::from(!decision.is_allowed());
    }
    assert!(denied > 0, "they share their counts");
}

#[actix_web::test]
async fn a_nearly_full_store_bans_nobody_for_others() {
    for filled in [3_600, 3_900, 4_096] {
        let store = MemoryStore::new().clock(ManualClock::new()).max_keys(4_096);
        let guard = RateGuard::builder().store(store).build().unwrap();
        let filler = Policy::new("filler", "1/day").unwrap();
        for number in 0..filled {
            check(&guard, &filler, &Key::from(number)).await;
        }
        let policy = Policy::new("p", "1/hour").unwrap().ban("10/hour for 1h").unwrap();
        for number in 0..300 {
            for _ in 0..11 {
                check(&guard, &policy, &Key::from(number)).await;
            }
        }
        for number in 1_000..2_000 {
            for _ in 0..2 {
                let decision = check(&guard, &policy, &Key::from(number)).await;
                assert_eq!(decision.banned_for(), None, "{filled}");
            }
        }
    }
}

#[test]
fn what_is_no_ban_is_refused_where_it_is_made() {
    let policy = Policy::new("p", "1/minute").unwrap();
    let error = policy.clone().ban("often for long").unwrap_err();
    assert!(matches!(error, PolicyError::Ban(BanError::Rate(_))), "{error}");
    let ban: Ban = "3/minute for 1h".parse().unwrap();
    assert!(policy.ban(ban).is_ok());
}

#[get("/banned")]
#[rate_limit(rate = "1/10s", ban = "2/minute for 30s", name = "banned")]
async fn banning_handler() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn a_banned_client_is_told_when_it_is_over() {
    let (guard, clock) = test_util::guard();
    let limit = RateLimit::new(&guard, "1/10s").ban("2/minute for 30s");
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(banning_handler)
            .service(web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok"))),
    )
    .await;
    for path in ["/banned", "/middleware"] {
        assert_eq!(statuses(&app, 1, path, 2).await, [200, 429]);
        for _ in 0..3 {
            let answer = get(&app, 1, path).await;
            assert_eq!((answer.status, answer.numbers()), (429, Some([1, 0, 30])));
            assert_eq!(answer.header("retry-after"), Some("30"));
        }
        assert_eq!(get(&app, 2, path).await.status, 200);
        clock.advance(30 * SECOND);
        assert_eq!(get(&app, 1, path).await.status, 200);
        clock.advance(60 * SECOND);
    }
}

#[rate_limit(rate = "10/minute", name = "penalised")]
#[post("/attribute")]
async fn attribute(request: HttpRequest, penalty: Penalty) -> HttpResponse {
    penalise(request, penalty).await
}

#[rate_limit(rate = "10/minute", name = "failures", count = "failure")]
#[post("/failures")]
async fn failures(request: HttpRequest, penalty: Penalty) -> HttpResponse {
    penalise(request, penalty).await
}

async fn penalise(request: HttpRequest, penalty: Penalty) -> HttpResponse {
    let number = |name| request.headers().get(name).map(|it| it.to_str().unwrap().parse().unwrap());
    penalty.add(number("X-Penalty").unwrap_or(0));
    match number("X-Status").unwrap_or(200) {
        200 => HttpResponse::Ok().finish(),
        _ => HttpResponse::Unauthorized().finish(),
    }
}

#[actix_web::test]
async fn a_handler_makes_its_request_count_for_more() {
    let (guard, _clock) = test_util::guard();
    let app = init_service(
        App::new().app_data(guard.clone()).service((attribute, failures)).service(
            web::resource("/middleware")
                .wrap(RateLimit::new(&guard, "10/minute").name("inner"))
                .wrap(RateLimit::new(&guard, "500/minute").name("outer"))
                .route(web::post().to(penalise)),
        ),
    )
    .await;
    let ask = async |path: &str, penalty: u32, status: u16| {
        let request = TestRequest::post().uri(path);
        let request = request.insert_header(("X-Penalty", penalty.to_string()));
        let answer =
            send(&app, from_client(1, request.insert_header(("X-Status", status.to_string()))))
                .await;
        (answer.status, answer.numbers().unwrap()[1])
    };
    for path in ["/attribute", "/middleware"] {
        // The headers tell what is left after it.
        assert_eq!(ask(path, 0, 200).await, (200, 9), "{path}");
        assert_eq!(ask(path, 4, 401).await, (401, 4), "{path}");
        // Beyond the limit if need be.
        assert_eq!(ask(path, 100, 401).await, (401, 0), "{path}");
        assert_eq!(ask(path, 0, 200).await.0, 429, "{path}");
    }
    // The outer limit was not charged.
    let outer = Policy::new("outer", "500/minute").unwrap();
    let client = rateguard::key::ip().key_of("192.0.2.1").unwrap();
    assert_eq!(guard.peek(&outer, &client).await.unwrap().remaining(), 500 - 4);
    // Where only failures count, a penalty counts by itself.
    assert_eq!(ask("/failures", 0, 200).await, (200, 10));
    assert_eq!(ask("/failures", 3, 200).await, (200, 7));
    assert_eq!(ask("/failures", 3, 401).await, (401, 3));
}

#[rate_limit(rate = "1/minute", key = "user", missing = "skip", name = "of-nobody")]
#[post("/inner-skips")]
async fn inner_skips(request: HttpRequest, penalty: Penalty) -> HttpResponse {
    penalise(request, penalty).await
}

#[actix_web::test]
async fn a_penalty_is_charged_by_the_innermost_limit_that_applies() {
    let (guard, _clock) = test_util::guard();
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(inner_skips)
            .service(
                web::resource("/inner-fails")
                    .wrap_fn(|request, service| {
                        let answer = service.call(request);
                        async {
                            let _answer: ServiceResponse = answer.await?;
                            Err::<ServiceResponse, _>(ErrorBadGateway("instead"))
                        }
                    })
                    .route(web::post().to(penalise)),
            )
            .wrap(RateLimit::new(&guard, "20/minute")),
    )
    .await;
    let ask = async |path: &str| {
        let request = TestRequest::post().uri(path).insert_header(("X-Penalty", "9"));
        send(&app, from_client(1, request)).await.numbers().unwrap()[1]
    };
    assert_eq!(ask("/inner-skips").await, 10);
    // Also if its answer is replaced on its way.
    assert_eq!(ask("/inner-fails").await, 0);
}

#[rate_limit(rate = "20/hour", count = "failure", ban = "3/hour for 15m", name = "tries")]
#[post("/tries")]
async fn tries(request: HttpRequest, penalty: Penalty) -> HttpResponse {
    actix_web::rt::task::yield_now().await;
    penalise(request, penalty).await
}

#[actix_web::test]
async fn where_only_failures_count_failures_lead_to_the_ban_and_no_number_of_successes_does() {
    let (guard, clock) = test_util::guard();
    let app = init_service(App::new().app_data(guard).service(tries)).await;
    let ask = async |client, status: &str| {
        let request = TestRequest::post().uri("/tries").insert_header(("X-Status", status));
        send(&app, from_client(client, request)).await
    };
    // Most of them find all places taken by the others.
    let answers = join_all((0..100).map(|_| ask(1, "200"))).await;
    assert!(answers.iter().any(|it| it.status == 429));
    for number in 0..2 {
        assert_eq!(ask(1, "200").await.status, 200, "{number}");
        assert_eq!(ask(1, "401").await.status, 401, "{number}");
    }
    let last = ask(1, "401").await;
    assert_eq!((last.status, last.numbers()), (401, Some([20, 0, 900])));
    let banned = ask(1, "200").await;
    assert_eq!((banned.status, banned.header("retry-after")), (429, Some("900")));
    assert_eq!(ask(2, "401").await.status, 401);
    clock.advance(900 * SECOND);
    assert_eq!(ask(1, "200").await.status, 200);
}

#[actix_web::test]
async fn a_penalty_where_nothing_was_decided_is_no_mistake() {
    let app = init_service(App::new().route("/", web::post().to(penalise))).await;
    let request = TestRequest::post().uri("/").insert_header(("X-Penalty", "5"));
    assert_eq!(send(&app, request).await.status, 200);
}
