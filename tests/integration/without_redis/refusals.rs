//! Tests the headers and bodies of rejections, in every header dialect and in every body format.

use std::time::{Duration, SystemTime};

use actix_rateguard::{
    AccessList, BuildError, Count, Limit, MemoryStore, MissingKey, OnError, RateGuard,
    RateGuardBuilder, RateLimit, RejectionBody, StoreError,
    headers::{HeaderDialect, RateLimits, unix_ceil_secs},
    key, rate_limit,
    test_util::{FaultyStore, ManualClock},
};
use actix_web::{
    App, Responder, get,
    test::{TestRequest, init_service},
    web,
};

use crate::support::app::{Response, from_client, get, send};

#[get("/limited")]
#[rate_limit(rate = "2/10s; 100/day", name = "query")]
async fn limited() -> impl Responder {
    "ok"
}

#[get("/unnamed")]
#[rate_limit(rate = "1/minute")]
async fn unnamed() -> impl Responder {
    "ok"
}

#[get("/costly")]
#[rate_limit(rate = "2/minute", name = "costly", cost = |_| 3)]
async fn costly() -> impl Responder {
    "ok"
}

fn builder() -> RateGuardBuilder {
    RateGuard::builder().memory_store(MemoryStore::new().clock(ManualClock::new()))
}

macro_rules! app {
    ($guard:expr) => {
        init_service(App::new().app_data($guard.clone()).service((limited, unnamed, costly))).await
    };
}

fn fields(response: &Response) -> Vec<(String, String)> {
    let field = |(name, value): (&actix_web::http::header::HeaderName, _)| {
        let value: &actix_web::http::header::HeaderValue = value;
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let mut fields: Vec<_> = response.headers.iter().map(field).collect();
    let written: Vec<_> =
        HeaderDialect::ALL.iter().flat_map(|dialect| dialect.field_names()).collect();
    fields.retain(|(name, _)| {
        name.contains("ratelimit") || name == "retry-after" || written.contains(&&&**name)
    });
    fields.sort();
    fields
}

/// The expected value of a field.
#[derive(Clone, Copy)]
enum Expected {
    Text(&'static str),
    /// The Unix time in this number of seconds after the response, rounded up.
    UnixTime(u64),
}

/// Returns the fields that a dialect writes for the first request to `/limited`, which is allowed, and for the third
/// request, which is denied.
fn expected_fields(dialect: HeaderDialect) -> [Vec<(&'static str, Expected)>; 2] {
    use Expected::{Text, UnixTime};
    let numbers = |[limit, remaining, reset]: [&'static str; 3], reset_value| {
        ["1", "0"]
            .map(|number| vec![(limit, Text("2")), (remaining, Text(number)), (reset, reset_value)])
    };
    let x_names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    match dialect {
        HeaderDialect::XRateLimit => numbers(x_names, Text("10")),
        HeaderDialect::XRateLimitEpoch => numbers(x_names, UnixTime(10)),
        HeaderDialect::Draft => {
            let statuses = [r#""query";r=1;t=10, "query{2}";r=99;t=86400"#, r#""query";r=0;t=10"#];
            let policies = Text(r#""query";q=2;w=10, "query{2}";q=100;w=86400"#);
            statuses.map(|status| vec![("ratelimit", Text(status)), ("ratelimit-policy", policies)])
        }
        // The enum is non-exhaustive, so the compiler requires this arm. If a dialect has no arm in this function,
        // the compiler does not report it, so this arm panics.
        _ => panic!("expected an arm for {dialect:?} in `expected_fields`, found none"),
    }
}

/// Compares the fields of a response with the expected fields. The response was created after `start`.
fn check_fields(response: &Response, mut expected: Vec<(&str, Expected)>, start: SystemTime) {
    let end = SystemTime::now();
    let found = fields(response);
    expected.sort_unstable_by_key(|(name, _)| *name);
    assert_eq!(
        found.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
        expected.iter().map(|(name, _)| *name).collect::<Vec<_>>()
    );
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        match expected {
            Expected::Text(expected) => assert_eq!(found, expected, "{name}"),
            Expected::UnixTime(seconds) => {
                let after = |time| unix_ceil_secs(time) + seconds;
                let range = after(start)..=after(end);
                assert!(range.contains(&found.parse().unwrap()), "{name}: {found}, {range:?}");
            }
        }
    }
}

#[actix_web::test]
async fn every_dialect_contains_the_same_numbers() {
    let no_dialect = (vec![], [vec![], vec![]]);
    let dialects = HeaderDialect::ALL.map(|dialect| (vec![dialect], expected_fields(dialect)));
    for (dialects, [allowed, mut denied]) in std::iter::once(no_dialect).chain(dialects) {
        let guard = builder().headers(dialects).build().unwrap();
        let app = app!(guard);
        let start = SystemTime::now();
        check_fields(&get(&app, 1, "/limited").await, allowed, start);
        get(&app, 1, "/limited").await;
        let rejection = get(&app, 1, "/limited").await;
        assert_eq!(rejection.status, 429);
        denied.push(("retry-after", Expected::Text("10")));
        check_fields(&rejection, denied, start);
        // The result of `header_names` must contain all of these headers, because CORS middleware needs their names.
        let names: Vec<_> = guard.header_names().collect();
        assert!(fields(&rejection).iter().all(|(name, _)| names.contains(&&**name)), "{names:?}");
    }
}

#[actix_web::test]
async fn header_reader_parses_all_dialects_together() {
    let dialects = [HeaderDialect::XRateLimitEpoch, HeaderDialect::Draft];
    let app = app!(builder().headers(dialects).build().unwrap());
    let read = |response: &Response| {
        let fields = response.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        RateLimits::read(fields.collect::<Vec<_>>(), SystemTime::now())
    };
    let limits = read(&get(&app, 1, "/limited").await);
    assert_eq!(limits.wait(), Some(Duration::ZERO));
    let [short, long, epoch] = limits.limits() else { panic!("{limits:?}") };
    assert_eq!(
        (short.policy(), short.quota(), short.remaining()),
        (Some("query"), Some(2), Some(1))
    );
    assert_eq!(
        (long.policy(), long.window()),
        (Some("query{2}"), Some(Duration::from_secs(86_400)))
    );
    // The reset header contains whole seconds, and a new second may begin during the test. Therefore the duration may
    // differ from 10 seconds by one or two seconds.
    let reset = epoch.reset_after().unwrap();
    assert!((Duration::from_secs(8)..=Duration::from_secs(11)).contains(&reset), "{reset:?}");
    get(&app, 1, "/limited").await;
    let limits = read(&get(&app, 1, "/limited").await);
    assert_eq!(
        (limits.wait(), limits.retry_after()),
        (Some(Duration::from_secs(10)), Some(Duration::from_secs(10)))
    );
}

#[test]
fn conflicting_reset_units_are_a_build_error() {
    let both = [HeaderDialect::XRateLimit, HeaderDialect::XRateLimitEpoch];
    let error = builder().headers(both).build().unwrap_err();
    assert!(matches!(error, BuildError::Headers { dialects } if dialects == both), "{error}");
}

#[actix_web::test]
async fn jitter_only_increases_retry_after() {
    let app = app!(builder().retry_jitter(Duration::from_secs(5)).build().unwrap());
    let mut waits = std::collections::BTreeSet::new();
    for number in 0..300 {
        let response = get(&app, 1, "/limited").await;
        assert_eq!(response.status, if number < 2 { 200 } else { 429 });
        assert_eq!(response.numbers().unwrap()[2], 10);
        waits.extend(response.header("retry-after").map(|it| it.parse::<u64>().unwrap()));
    }
    assert_eq!(waits, (10..=15).collect());
}

#[get("/inner")]
#[rate_limit(rate = "1/minute", name = "refused-inner")]
async fn inner() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn refunded_outer_limit_does_not_extend_retry_after() {
    let guard =
        builder().headers([HeaderDialect::XRateLimit, HeaderDialect::Draft]).build().unwrap();
    let outer = RateLimit::new(&guard, Limit::new("2/hour").name("outer").count(Count::Success));
    let app = init_service(App::new().app_data(guard.clone()).service(inner).wrap(outer)).await;
    assert_eq!(get(&app, 1, "/inner").await.status, 200);
    for _ in 0..3 {
        let denied = get(&app, 1, "/inner").await;
        assert_eq!((denied.status, denied.header("retry-after")), (429, Some("60")));
        assert_eq!(denied.header("ratelimit"), Some(r#""refused-inner";r=0;t=60"#));
    }
}

fn request_accepting(accept: &str, path: &str) -> TestRequest {
    from_client(1, TestRequest::get().uri(path).insert_header(("Accept", accept)))
}

#[actix_web::test]
async fn rejection_is_problem_json_if_the_client_accepts_json() {
    const PROBLEM: &str = "https://iana.org/assignments/http-problem-types";
    let store = FaultyStore::new(MemoryStore::new().clock(ManualClock::new()));
    let list = AccessList::new().deny_addresses(["192.0.2.99"]).unwrap();
    let guard = RateGuard::builder()
        .store(store.clone())
        .on_error(OnError::Closed)
        .access(list)
        .build()
        .unwrap();
    let limit = RateLimit::new(
        &guard,
        Limit::new("1/minute")
            .key(key::header("X-User"))
            .missing_key(MissingKey::Deny)
            .name("middleware"),
    );
    let banning =
        RateLimit::new(&guard, Limit::new("1/minute").ban("1/minute for 5m").name("banning"));
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service((limited, unnamed, costly))
            .service(web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok")))
            .service(web::resource("/banning").wrap(banning).route(web::get().to(async || "ok"))),
    )
    .await;
    let problem = async |request| {
        let response = send(&app, request).await;
        assert_eq!(
            response.header("content-type"),
            Some("application/problem+json"),
            "{response:?}"
        );
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let problem: serde_json::Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(problem["status"], response.status);
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        (response.status, problem["type"].clone(), problem["violated-policies"].clone())
    };
    let json = |path| request_accepting("application/json", path);
    for _ in 0..2 {
        get(&app, 1, "/limited").await;
    }
    get(&app, 1, "/unnamed").await;
    for (path, policy) in [("/limited", "query"), ("/unnamed", "unnamed"), ("/costly", "costly")] {
        let expected = (429, format!("{PROBLEM}#quota-exceeded").into(), vec![policy].into());
        assert_eq!(problem(json(path)).await, expected);
    }
    get(&app, 1, "/banning").await;
    get(&app, 1, "/banning").await;
    let banned = (429, format!("{PROBLEM}#abnormal-usage-detected").into(), vec!["banning"].into());
    assert_eq!(problem(json("/banning")).await, banned);
    let forbidden = (403, "about:blank".into(), serde_json::Value::Null);
    assert_eq!(problem(json("/middleware")).await, forbidden);
    assert_eq!(
        problem(from_client(99, request_accepting("application/json", "/limited"))).await,
        forbidden
    );

    let text = send(&app, request_accepting("text/html, */*", "/limited")).await;
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    store.fail(StoreError::Unreachable(None));
    let unavailable =
        (503, format!("{PROBLEM}#temporary-reduced-capacity").into(), serde_json::Value::Null);
    assert_eq!(problem(json("/limited")).await, unavailable);
    let text = get(&app, 1, "/limited").await;
    assert_eq!((text.status, text.header("retry-after")), (503, Some("1")));
    assert_eq!(text.header("cache-control"), Some("no-store"));
}

#[actix_web::test]
async fn configured_body_format_overrides_the_accept_header() {
    for (body, accept, content_type) in [
        (RejectionBody::ProblemDetails, "text/html", "application/problem+json"),
        (RejectionBody::Text, "application/json", "text/plain; charset=utf-8"),
    ] {
        let app = app!(builder().rejection_body(body).build().unwrap());
        for _ in 0..2 {
            get(&app, 1, "/limited").await;
        }
        let denied = send(&app, request_accepting(accept, "/limited")).await;
        assert_eq!((denied.status, denied.header("content-type")), (429, Some(content_type)));
    }
}
