//! Tests the attribute with `concurrent`, and the number of handlers that run at the same time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use actix_rateguard::{HeaderDialect, Key, Policy, RateGuard, RateLimit, rate_limit};
use actix_web::{HttpRequest, get, web};

use crate::support::{
    app::{get, statuses},
    redis_server::RedisServer,
    server::{Server, agent, try_get},
};

/// Counts the handlers that run.
#[derive(Default)]
struct Running {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Running {
    async fn run(&self, millis: u64) {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        actix_web::rt::time::sleep(Duration::from_millis(millis)).await;
        self.now.fetch_sub(1, SeqCst);
    }
}

#[get("/work")]
#[rate_limit(concurrent = 3, key = |_: &HttpRequest| Key::from("all"), name = "permits-work")]
async fn work(running: web::Data<Running>) -> &'static str {
    running.run(4).await;
    "done"
}

#[test]
fn two_applications_never_run_more_handlers_than_the_limit() {
    let redis = RedisServer::start();
    let running = web::Data::new(Running::default());
    let servers = [(); 2].map(|()| {
        let (guard, running) = (redis.guard("handlers"), running.clone());
        Server::start(move |config| {
            config.app_data(guard.clone()).app_data(running.clone()).service(work);
        })
    });
    let admitted = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..12 {
            let (server, admitted) = (&servers[client % 2], &admitted);
            scope.spawn(move || {
                let agent = agent();
                for _ in 0..60 {
                    let response = try_get(&agent, &server.url("/work")).unwrap();
                    assert!(matches!(response.status, 200 | 429), "{response:?}");
                    admitted.fetch_add(usize::from(response.status == 200), SeqCst);
                }
            });
        }
    });
    assert!(running.most.load(SeqCst) <= 3, "{}", running.most.load(SeqCst));
    assert!(admitted.load(SeqCst) >= 60);
    assert_eq!(running.now.load(SeqCst), 0);
}

#[get("/both")]
#[rate_limit(rate = "3/hour", concurrent = 1, key = "ip", name = "permits-both")]
async fn both() -> &'static str {
    "done"
}

#[actix_web::test]
async fn attribute_has_rate_and_permits_in_one_limit() {
    let guard = RateGuard::in_memory();
    let app = app!(guard, both);
    // Each response ends before the next request, so only the rate denies.
    assert_eq!(statuses(&app, 1, "/both", 4).await, [200, 200, 200, 429]);
    let policy = Policy::new("permits-both", "3/hour; 1 concurrent").unwrap();
    let key = Key::global();
    let decision = guard.peek(&policy, &key);
    assert_eq!(decision.await.unwrap().statuses()[1].held_permits(), Some(0));
}

const PER_HOUR: u32 = 3;

#[get("/constant")]
#[rate_limit(limit = PER_HOUR, window = 3_600, concurrent = 1, permit_lease = 30, name = "permits-constant")]
async fn constant() -> &'static str {
    "done"
}

#[actix_web::test]
async fn constant_rate_can_have_permits() {
    let app = app!(RateGuard::in_memory(), constant);
    assert_eq!(statuses(&app, 1, "/constant", 4).await, [200, 200, 200, 429]);
}

#[get("/nested")]
#[rate_limit(policy = "permits-nested", limiter = crate::support::app::attribute_guard())]
async fn nested() -> &'static str {
    "done"
}

#[actix_web::test]
async fn request_that_passes_a_limit_twice_holds_one_permit() {
    let policy = Policy::new("permits-nested", "5/hour; 1 concurrent").unwrap();
    let guard = RateGuard::builder()
        .policy(policy.clone())
        .headers([HeaderDialect::XRateLimit])
        .build()
        .unwrap();
    crate::support::app::set_attribute_guard(&guard);
    let twice = || actix_rateguard::Limit::policy("permits-nested");
    let scope = web::scope("/in").wrap(RateLimit::new(&guard, twice())).service(nested);
    let outer = web::scope("/out").wrap(RateLimit::new(&guard, twice().cost(2))).service(scope);
    let app =
        actix_web::test::init_service(actix_web::App::new().app_data(guard.clone()).service(outer))
            .await;
    assert_eq!(statuses(&app, 1, "/out/in/nested", 3).await, [200, 200, 429]);
    // The inner limit has a higher cost than the outer one, so it counts the difference, but needs no permit.
    let inner = web::scope("/in").wrap(RateLimit::new(&guard, twice().cost(3))).service(nested);
    let outer = web::scope("/out").wrap(RateLimit::new(&guard, twice())).service(inner);
    let app =
        actix_web::test::init_service(actix_web::App::new().app_data(guard.clone()).service(outer))
            .await;
    let response = get(&app, 2, "/out/in/nested").await;
    assert_eq!(response.status, 200, "{response:?}");
}
