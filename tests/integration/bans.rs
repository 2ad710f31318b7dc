//! Tests the escalating bans of clients that continue after denials, and the penalties that add units to a request.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use actix_rateguard::{
    Ban, Decision, Key, Limit, MemoryStore, Penalty, Policy, RateGuard, RateLimit, StoreError,
    error::{BanSpecError, PolicyError},
    rate_limit,
    store::{BucketRequest, Operation, Store, StoreFuture},
    test_util::{self, ManualClock, TokioClock},
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
async fn returned_time_of_a_ban_is_its_rest_when_the_call_ends() {
    let guard = RateGuard::in_memory();
    let length = 600 * SECOND;
    let start = std::time::Instant::now();
    let rest = guard.ban(&login(), &Key::from("ann"), length).await.unwrap();
    let shortest = length.saturating_sub(start.elapsed());
    assert!((shortest..=length + SECOND).contains(&rest), "{rest:?}");
}

#[actix_web::test]
async fn repeated_denials_start_a_ban_and_next_ban_is_longer() {
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

        // During a ban, the guard denies every check of the banned key. These checks do not extend the ban.
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
async fn waiting_client_is_never_banned_and_offences_expire() {
    let (guard, clock) = test_util::guard();
    let (policy, key) = (login(), Key::from("ann"));
    for _ in 0..100 {
        let decision = check(&guard, &policy, &key).await;
        assert_eq!(decision.banned_for(), None);
        clock.advance(decision.retry_after().unwrap_or(Duration::ZERO));
        // With this pause, the client gets at most two denials in a minute. A ban starts only after three denials in
        // a minute.
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
async fn reset_lifts_a_ban() {
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
async fn policies_in_one_decision_ban_independently() {
    let (guard, _clock) = test_util::guard();
    let tight = Policy::new("tight", "1/10s").unwrap().ban("2/minute for 30s").unwrap();
    let loose = Policy::new("loose", "100/10s").unwrap().ban("2/minute for 90s").unwrap();
    let (user, tenant) = (Key::from("ann"), Key::from("acme"));
    let both = guard.request(&tight, &user).and(&loose, &tenant);
    assert!(both.check().await.unwrap().is_allowed());
    assert_eq!(both.check().await.unwrap().banned_for(), None);
    let banned = both.check().await.unwrap();
    assert_eq!((banned.policy(), banned.banned_for()), ("tight", Some(30 * SECOND)));
    // The ban applies only to this user, so the guard still admits the tenant of the user.
    assert!(check(&guard, &loose, &tenant).await.is_allowed());
    assert_eq!(both.peek().await.unwrap().statuses().len(), 2);
}

#[actix_web::test]
async fn ban_starts_once_and_applies_on_every_server() {
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
        assert!((hour - 60 * SECOND..=hour).contains(&ban), "{ban:?}: expected one ban");
    }
    guards[0].reset(&policy, &key).await.unwrap();
    assert!(check(&guards[1], &policy, &key).await.is_allowed());
}

/// A memory store with faults. The function `fault_for` chooses the fault for each operation.
struct FaultyStore<F> {
    store: MemoryStore,
    fault_for: F,
}

impl<F> Store for FaultyStore<F>
where
    F: Fn(Operation, &[BucketRequest<'_>]) -> Option<Fault> + Send + Sync,
{
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        match (self.fault_for)(operation, requests) {
            None => self.store.apply(operation, requests),
            Some(Fault::FailBeforeApply) => StoreFuture::Ready(Err(StoreError::Unreachable(None))),
            Some(Fault::FailAfterApply) => {
                let _ = self.store.apply(operation, requests);
                StoreFuture::Ready(Err(StoreError::Disconnected(None)))
            }
            Some(Fault::Delay(delay)) => StoreFuture::Pending(Box::pin(async move {
                tokio::time::sleep(delay).await;
                self.store.apply(operation, requests).get().await
            })),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The store returns an error and does not apply the operation.
    FailBeforeApply,
    /// The store applies the operation, but returns an error.
    FailAfterApply,
    /// The store applies the operation after this delay.
    Delay(Duration),
}

fn faulty_guard(
    clock: impl actix_rateguard::Clock,
    fault_for: impl Fn(Operation, &[BucketRequest<'_>]) -> Option<Fault> + Send + Sync + 'static,
) -> RateGuard {
    let store = MemoryStore::new().clock(clock);
    RateGuard::builder().store(FaultyStore { store, fault_for }).build().unwrap()
}

#[actix_web::test]
async fn ban_starts_at_next_denial_after_store_failure() {
    use Operation::{Check, Peek, Reset};
    for (name, at) in [
        ("login{offences}", Check),
        ("login{banned}", Check),
        ("login{banned}", Peek),
        ("login{offences}", Reset),
    ] {
        for fault in [Fault::FailBeforeApply, Fault::FailAfterApply] {
            let clock = ManualClock::new();
            let fails = AtomicBool::new(true);
            // The number of denials that were counted as offences. The third offence starts the ban.
            let denials = AtomicU32::new(0);
            let guard = faulty_guard(clock.clone(), move |operation, requests| {
                let is_target = operation == at && requests[0].bucket.name() == name;
                let is_last = name != "login{offences}"
                    || at == Reset
                    || (is_target && denials.fetch_add(1, Relaxed) == 2);
                (is_target && is_last && fails.swap(false, Relaxed)).then_some(fault)
            });
            let (policy, key) = (login(), Key::from("ann"));
            for _ in 0..5 {
                let decision = check(&guard, &policy, &key).await;
                // If a check started a ban, its decision must report the whole duration of the ban as `retry_after`.
                if let Some(ban) = guard.peek(&policy, &key).await.unwrap().banned_for() {
                    assert_eq!(decision.retry_after(), Some(ban), "{name} {at:?} {fault:?}");
                }
            }
            let denied = check(&guard, &policy, &key).await;
            assert_eq!(denied.banned_for(), Some(30 * SECOND), "{name} {at:?} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn slow_store_still_bans() {
    let guard =
        faulty_guard(TokioClock::new(), |_, _| Some(Fault::Delay(Duration::from_millis(40))));
    let (policy, key) = (login(), Key::from("ann"));
    let mut bans = Vec::new();
    for _ in 0..6 {
        bans.push(check(&guard, &policy, &key).await.banned_for().is_some());
    }
    assert_eq!(bans, [false, false, false, false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn cancelled_check_still_starts_a_ban() {
    let step = Duration::from_millis(20);
    for cancelled_after in (1..140).step_by(3).map(Duration::from_millis) {
        let guard = faulty_guard(TokioClock::new(), move |_, _| Some(Fault::Delay(step)));
        let (policy, key) = (login(), Key::from("ann"));
        for _ in 0..4 {
            assert_eq!(check(&guard, &policy, &key).await.banned_for(), None);
        }
        // The denial of this check starts the ban, even if the check is cancelled.
        let _ = tokio::time::timeout(cancelled_after, guard.check(&policy, &key)).await;
        let mut banned = check(&guard, &policy, &key).await.banned_for();
        if banned.is_none() {
            // The ban may be missing only if the timeout cancelled the check before the store counted the denial as
            // an offence.
            assert!(cancelled_after <= 2 * step, "{cancelled_after:?}");
            banned = check(&guard, &policy, &key).await.banned_for();
        }
        assert!(banned.is_some_and(|ban| ban <= 30 * SECOND), "{cancelled_after:?} {banned:?}");
    }
}

#[actix_web::test]
async fn full_store_does_not_ban_keys_that_share_counts() {
    let clock = ManualClock::new();
    let store = MemoryStore::new().clock(clock.clone()).max_keys(10);
    let guard = RateGuard::builder().store(store).build().unwrap();
    let policy = Policy::new("p", "1/minute").unwrap().ban("1/minute for 1h").unwrap();
    for number in 0..2_000 {
        // The guard denies the second check of each key. Because the store is full, the key may share its count with
        // other keys.
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
    assert!(denied > 0, "no key shares a count");
}

#[actix_web::test]
async fn nearly_full_store_does_not_ban_other_keys() {
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
fn invalid_ban_specification_is_an_error() {
    let policy = Policy::new("p", "1/minute").unwrap();
    let error = policy.clone().ban("often for long").unwrap_err();
    assert!(matches!(error, PolicyError::Ban(BanSpecError::Rate(_))), "{error}");
    let ban: Ban = "3/minute for 1h".parse().unwrap();
    assert!(policy.ban(ban).is_ok());
}

#[get("/banned")]
#[rate_limit(rate = "1/10s", ban = "2/minute for 30s", name = "banned")]
async fn banning_handler() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn banned_client_receives_remaining_ban_in_retry_after() {
    let (guard, clock) = test_util::guard();
    let limit = RateLimit::new(&guard, Limit::new("1/10s").ban("2/minute for 30s"));
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
            let response = get(&app, 1, path).await;
            assert_eq!((response.status, response.numbers()), (429, Some([1, 0, 30])));
            assert_eq!(response.header("retry-after"), Some("30"));
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
async fn penalty_adds_units_to_the_current_request() {
    let (guard, _clock) = test_util::guard();
    let app = init_service(
        App::new().app_data(guard.clone()).service((attribute, failures)).service(
            web::resource("/middleware")
                .wrap(RateLimit::new(&guard, Limit::new("10/minute").name("inner")))
                .wrap(RateLimit::new(&guard, Limit::new("500/minute").name("outer")))
                .route(web::post().to(penalise)),
        ),
    )
    .await;
    let send_post = async |path: &str, penalty: u32, status: u16| {
        let request = TestRequest::post().uri(path);
        let request = request.insert_header(("X-Penalty", penalty.to_string()));
        let response =
            send(&app, from_client(1, request.insert_header(("X-Status", status.to_string()))))
                .await;
        (response.status, response.numbers().unwrap()[1])
    };
    for path in ["/attribute", "/middleware"] {
        // The headers report the units that remain after the penalty.
        assert_eq!(send_post(path, 0, 200).await, (200, 9), "{path}");
        assert_eq!(send_post(path, 4, 401).await, (401, 4), "{path}");
        // The penalty may be higher than the limit.
        assert_eq!(send_post(path, 100, 401).await, (401, 0), "{path}");
        assert_eq!(send_post(path, 0, 200).await.0, 429, "{path}");
    }
    // A penalty counts only in the innermost limit, so the outer limit has counted only the four requests.
    let outer = Policy::new("outer", "500/minute").unwrap();
    let client = actix_rateguard::key::ip().key_of("192.0.2.1").unwrap();
    assert_eq!(guard.peek(&outer, &client).await.unwrap().remaining(), 500 - 4);
    // If a limit counts only failures, a penalty counts even for an HTTP request that succeeds.
    assert_eq!(send_post("/failures", 0, 200).await, (200, 10));
    assert_eq!(send_post("/failures", 3, 200).await, (200, 7));
    assert_eq!(send_post("/failures", 3, 401).await, (401, 3));
}

#[rate_limit(rate = "1/minute", key = "user", missing_key = "skip", name = "optional-user")]
#[post("/inner-skips")]
async fn inner_skips(request: HttpRequest, penalty: Penalty) -> HttpResponse {
    penalise(request, penalty).await
}

#[actix_web::test]
async fn penalty_counts_in_the_innermost_applicable_limit() {
    let (guard, _clock) = test_util::guard();
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(inner_skips)
            .service(
                web::resource("/inner-fails")
                    .wrap_fn(|request, service| {
                        let response = service.call(request);
                        async {
                            let _replaced: ServiceResponse = response.await?;
                            Err::<ServiceResponse, _>(ErrorBadGateway("instead"))
                        }
                    })
                    .route(web::post().to(penalise)),
            )
            .wrap(RateLimit::new(&guard, "20/minute")),
    )
    .await;
    let send_post = async |path: &str| {
        let request = TestRequest::post().uri(path).insert_header(("X-Penalty", "9"));
        send(&app, from_client(1, request)).await.numbers().unwrap()[1]
    };
    assert_eq!(send_post("/inner-skips").await, 10);
    // A penalty also counts if another middleware replaces the response of the handler.
    assert_eq!(send_post("/inner-fails").await, 0);
}

#[rate_limit(rate = "20/hour", count = "failure", ban = "3/hour for 15m", name = "login-attempts")]
#[post("/login-attempts")]
async fn login_attempts(request: HttpRequest, penalty: Penalty) -> HttpResponse {
    actix_web::rt::task::yield_now().await;
    penalise(request, penalty).await
}

#[actix_web::test]
async fn failure_limit_bans_for_failures_and_never_for_successes() {
    let (guard, clock) = test_util::guard();
    let app = init_service(App::new().app_data(guard).service(login_attempts)).await;
    let send_post = async |client, status: &str| {
        let request =
            TestRequest::post().uri("/login-attempts").insert_header(("X-Status", status));
        send(&app, from_client(client, request)).await
    };
    // Each HTTP request holds a unit until its response is sent. With 100 concurrent requests, the guard therefore
    // denies some of them.
    let responses = join_all((0..100).map(|_| send_post(1, "200"))).await;
    assert!(responses.iter().any(|it| it.status == 429));
    for number in 0..2 {
        assert_eq!(send_post(1, "200").await.status, 200, "{number}");
        assert_eq!(send_post(1, "401").await.status, 401, "{number}");
    }
    let last = send_post(1, "401").await;
    assert_eq!((last.status, last.numbers()), (401, Some([20, 0, 900])));
    let banned = send_post(1, "200").await;
    assert_eq!((banned.status, banned.header("retry-after")), (429, Some("900")));
    assert_eq!(send_post(2, "401").await.status, 401);
    clock.advance(900 * SECOND);
    assert_eq!(send_post(1, "200").await.status, 200);
}

#[actix_web::test]
async fn penalty_without_a_limit_is_ignored() {
    let app = init_service(App::new().route("/", web::post().to(penalise))).await;
    let request = TestRequest::post().uri("/").insert_header(("X-Penalty", "5"));
    assert_eq!(send(&app, request).await.status, 200);
}
