//! Tests calendar quotas by HTTP, on two servers with one Redis whose clock the test sets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_rateguard::{
    CalendarPeriod, HeaderDialect, Key, Limit, Policy, RateLimit, rate_limit,
    store::calendar_bounds,
};
use actix_web::{Responder, get, web};

use crate::{
    faults::clocks::RedisWithClock,
    support::{
        app::{attribute_guard, set_attribute_guard},
        redis_server::RedisServer,
        server::{Server, get as fetch},
        skipped,
    },
};

#[get("/attribute")]
#[rate_limit(
    rate = "2/calendar day Europe/Berlin",
    key = "global",
    name = "calendar-day",
    limiter = attribute_guard()
)]
async fn daily() -> impl Responder {
    "ok"
}

fn server(redis: &RedisServer) -> Server {
    let guard = redis.guard("calendar");
    Server::start(move |app| {
        set_attribute_guard(&guard);
        let limit = Limit::new("2/calendar day Europe/Berlin").key("global").name("calendar-page");
        let page = web::resource("/middleware").wrap(RateLimit::new(&guard, limit));
        app.service(daily).service(page.route(web::get().to(async || "ok")));
    })
}

/// The ends of days in Berlin, in seconds since 1970, and the durations of these days in hours. The clocks of Berlin
/// change on two of these days. The clock of this process shows another year.
const ENDS: [(u64, u64); 3] = [(2_147_468_400, 24), (2_153_426_400, 23), (2_172_178_800, 25)];

#[test]
fn calendar_day_ends_at_midnight_of_its_zone_on_every_server() {
    let Some(redis) = RedisWithClock::start() else { return };
    let period: CalendarPeriod = "calendar day Europe/Berlin".parse().unwrap();
    for (end, hours) in ENDS.map(|(end, hours)| (Duration::from_secs(end), hours)) {
        let day = calendar_bounds(period, end - Duration::from_micros(1));
        assert_eq!(day, end - Duration::from_secs(3_600 * hours)..end);
        if !redis.is_frozen_at(day.start) {
            return skipped("the time of this server moves while its clock is frozen");
        }
        let servers = [server(&redis.server), server(&redis.server)];
        for path in ["/attribute", "/middleware"] {
            let get = |index: usize| fetch(&servers[index].url(path));
            assert!(redis.is_frozen_at(day.start));
            assert_eq!([get(0).status, get(1).status], [200, 200], "{path}");
            let denied = get(1);
            assert_eq!((denied.status, denied.number("retry-after")), (429, 3_600 * hours));
            assert!(redis.is_frozen_at(end - Duration::from_micros(1)));
            let denied = get(0);
            assert_eq!((denied.status, denied.number("retry-after")), (429, 1), "{path}");
            assert!(redis.is_frozen_at(end));
            assert_eq!([get(1).status, get(0).status, get(1).status], [200, 200, 429], "{path}");
        }
    }
}

#[test]
fn policy_header_has_the_duration_of_the_current_period() {
    let redis = RedisServer::start();
    let settings = redis.settings("calendar-header").headers([HeaderDialect::Draft]);
    let guard = settings.build().unwrap();
    let server = Server::start(move |app| {
        let limit =
            Limit::new("2/calendar day Europe/Berlin").key("global").name("calendar-header");
        let page = web::resource("/page").wrap(RateLimit::new(&guard, limit));
        app.service(page.route(web::get().to(async || "ok")));
    });
    let period: CalendarPeriod = "calendar day Europe/Berlin".parse().unwrap();
    let seconds = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let day = calendar_bounds(period, now);
        (day.end - day.start).as_secs()
    };
    let before = seconds();
    let response = fetch(&server.url("/page"));
    // The test may run around midnight.
    let is_exact = [before, seconds()].iter().any(|seconds| {
        response.header("ratelimit-policy").unwrap().contains(&format!(";w={seconds}"))
    });
    assert!(is_exact, "{response:?}");
}

#[tokio::test]
async fn server_clock_of_another_year_costs_one_more_call() {
    let Some(redis) = RedisWithClock::start() else { return };
    let mut client = redis.server.client();
    let guard = redis.server.guard("another-year");
    let policy = Policy::new("hourly", "3/calendar hour Asia/Kathmandu").unwrap();
    redis.clock.set_offset(400 * 86_400);
    for remaining in [2, 1, 0] {
        let decision = guard.check(&policy, &Key::global()).await.unwrap();
        assert!(decision.is_allowed());
        assert_eq!(decision.remaining(), remaining);
    }
    assert!(!guard.check(&policy, &Key::global()).await.unwrap().is_allowed());
    let key: Vec<String> = redis::cmd("KEYS").arg("another-year:*").query(&mut client).unwrap();
    assert_eq!(key.len(), 1);
    let millis: i64 = redis::cmd("PTTL").arg(&key[0]).query(&mut client).unwrap();
    assert!((0..=3_601_000).contains(&millis), "{millis}");
}
