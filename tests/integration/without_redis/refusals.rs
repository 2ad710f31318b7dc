//! What those are told who are not let through, in every dialect and form.

use std::time::{Duration, SystemTime};

use actix_web::{
    App, HttpRequest, HttpResponse, Responder, get,
    http::StatusCode,
    test::{TestRequest, init_service},
    web,
};
use rateguard::{
    AccessList, BuildError, Count, Decision, MemoryStore, MissingKey, OnError, RateGuard,
    RateGuardBuilder, RateLimit, RefusalBody, StoreError,
    headers::{HeaderDialect, RateLimits},
    key, rate_limit,
    test_util::{FaultyStore, ManualClock},
};

use crate::support::app::{Answer, from_client, get, send};

#[get("/limited")]
#[rate_limit(rate = "2/10s; 100/day", name = "search")]
async fn limited() -> impl Responder {
    "ok"
}

#[get("/unnamed")]
#[rate_limit(rate = "1/minute")]
async fn unnamed() -> impl Responder {
    "ok"
}

#[get("/own")]
#[rate_limit(rate = "1/minute", on_denied = own_answer)]
async fn own() -> impl Responder {
    "ok"
}

#[get("/own-closure")]
#[rate_limit(rate = "1/minute", on_denied = |_, decision| {
    HttpResponse::build(StatusCode::IM_A_TEAPOT).body(decision.limit().to_string())
})]
async fn own_closure() -> impl Responder {
    "ok"
}

#[get("/costly")]
#[rate_limit(rate = "2/minute", name = "costly", cost = |_| 3)]
async fn costly() -> impl Responder {
    "ok"
}

fn own_answer(request: &HttpRequest, decision: &Decision) -> HttpResponse {
    HttpResponse::build(StatusCode::IM_A_TEAPOT)
        .insert_header(("Cache-Control", "private, no-store"))
        .insert_header(("Retry-After", "7"))
        .body(format!("{} {}", request.path(), decision.limit()))
}

fn builder() -> RateGuardBuilder {
    RateGuard::builder().store(MemoryStore::new().clock(ManualClock::new()))
}

macro_rules! app {
    ($guard:expr) => {
        init_service(App::new().app_data($guard.clone()).service((
            limited,
            unnamed,
            own,
            own_closure,
            costly,
        )))
        .await
    };
}

fn fields(answer: &Answer) -> Vec<(String, String)> {
    let field = |(name, value): (&actix_web::http::header::HeaderName, _)| {
        let value: &actix_web::http::header::HeaderValue = value;
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let mut fields: Vec<_> = answer.headers.iter().map(field).collect();
    fields.retain(|(name, _)| name.contains("ratelimit") || name == "retry-after");
    fields.sort();
    fields
}

#[actix_web::test]
async fn every_dialect_tells_the_same_numbers() {
    use HeaderDialect::{Draft, XRateLimit};
    for (dialects, allowed, denied) in [
        (vec![], vec![], vec![("retry-after", "10")]),
        (
            vec![XRateLimit],
            vec![
                ("x-ratelimit-limit", "2"),
                ("x-ratelimit-remaining", "1"),
                ("x-ratelimit-reset", "10"),
            ],
            vec![
                ("retry-after", "10"),
                ("x-ratelimit-limit", "2"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "10"),
            ],
        ),
        (
            vec![Draft],
            vec![
                ("ratelimit", r#""search";r=1;t=10, "search{2}";r=99;t=86400"#),
                ("ratelimit-policy", r#""search";q=2;w=10, "search{2}";q=100;w=86400"#),
            ],
            vec![
                ("ratelimit", r#""search";r=0;t=10"#),
                ("ratelimit-policy", r#""search";q=2;w=10, "search{2}";q=100;w=86400"#),
                ("retry-after", "10"),
            ],
        ),
    ] {
        let guard = builder().headers(dialects.clone()).build().unwrap();
        let app = app!(guard);
        let owned = |it: Vec<(&str, &str)>| -> Vec<_> {
            it.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        assert_eq!(fields(&get(&app, 1, "/limited").await), owned(allowed), "{dialects:?}");
        get(&app, 1, "/limited").await;
        let refused = get(&app, 1, "/limited").await;
        assert_eq!((refused.status, fields(&refused)), (429, owned(denied)), "{dialects:?}");
        // Scripts of other origins are told about all of them.
        let names: Vec<_> = guard.header_names().collect();
        assert!(fields(&refused).iter().all(|(name, _)| names.contains(&&**name)), "{names:?}");
    }
}

#[actix_web::test]
async fn all_dialects_at_once_are_read_by_our_own_reader() {
    let dialects = [HeaderDialect::XRateLimitEpoch, HeaderDialect::Draft];
    let app = app!(builder().headers(dialects).build().unwrap());
    let read = |answer: &Answer| {
        let fields = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        RateLimits::read(fields.collect::<Vec<_>>(), SystemTime::now())
    };
    let told = read(&get(&app, 1, "/limited").await);
    assert_eq!(told.wait(), Some(Duration::ZERO));
    let [short, long, epoch] = told.limits() else { panic!("{told:?}") };
    assert_eq!(
        (short.policy(), short.quota(), short.remaining()),
        (Some("search"), Some(2), Some(1))
    );
    assert_eq!(
        (long.policy(), long.window()),
        (Some("search{2}"), Some(Duration::from_secs(86_400)))
    );
    // Of the second that is under way, and the next if that begins meanwhile.
    let reset = epoch.reset_after().unwrap();
    assert!((Duration::from_secs(8)..=Duration::from_secs(11)).contains(&reset), "{reset:?}");
    get(&app, 1, "/limited").await;
    let told = read(&get(&app, 1, "/limited").await);
    assert_eq!(
        (told.wait(), told.retry_after()),
        (Some(Duration::from_secs(10)), Some(Duration::from_secs(10)))
    );
}

#[test]
fn a_reset_is_not_in_two_units_at_once() {
    let both = [HeaderDialect::XRateLimit, HeaderDialect::XRateLimitEpoch];
    let error = builder().headers(both).build().unwrap_err();
    assert!(matches!(error, BuildError::Headers), "{error}");
}

#[actix_web::test]
async fn jitter_makes_nobody_come_too_early() {
    let app = app!(builder().retry_jitter(Duration::from_secs(5)).build().unwrap());
    let mut told = std::collections::BTreeSet::new();
    for number in 0..300 {
        let answer = get(&app, 1, "/limited").await;
        assert_eq!(answer.status, if number < 2 { 200 } else { 429 });
        assert_eq!(answer.numbers().unwrap()[2], 10);
        told.extend(answer.header("retry-after").map(|it| it.parse::<u64>().unwrap()));
    }
    assert_eq!(told, (10..=15).collect());
}

#[get("/inner")]
#[rate_limit(rate = "1/minute", name = "inner")]
async fn inner() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn what_an_outer_limit_has_given_back_is_not_waited_for() {
    let guard =
        builder().headers([HeaderDialect::XRateLimit, HeaderDialect::Draft]).build().unwrap();
    let outer = RateLimit::new(&guard, "2/hour").name("outer").count(Count::Success);
    let app = init_service(App::new().app_data(guard.clone()).service(inner).wrap(outer)).await;
    assert_eq!(get(&app, 1, "/inner").await.status, 200);
    for _ in 0..3 {
        let denied = get(&app, 1, "/inner").await;
        assert_eq!((denied.status, denied.header("retry-after")), (429, Some("60")));
        assert_eq!(denied.header("ratelimit"), Some(r#""inner";r=0;t=60"#));
    }
}

fn accepting(accept: &str, path: &str) -> TestRequest {
    from_client(1, TestRequest::get().uri(path).insert_header(("Accept", accept)))
}

#[actix_web::test]
async fn a_client_that_accepts_json_is_told_the_problem() {
    const PROBLEM: &str = "https://iana.org/assignments/http-problem-types";
    let store = FaultyStore::new(MemoryStore::new().clock(ManualClock::new()));
    let list = AccessList::new().deny_addresses(["192.0.2.99"]).unwrap();
    let guard = RateGuard::builder()
        .store(store.clone())
        .on_error(OnError::Closed)
        .access(list)
        .build()
        .unwrap();
    let limit = RateLimit::new(&guard, "1/minute")
        .by(key::header("X-User"))
        .missing_key(MissingKey::Deny)
        .name("middleware");
    let banning = RateLimit::new(&guard, "1/minute").ban("1/minute for 5m").name("banning");
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service((limited, unnamed, costly))
            .service(web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok")))
            .service(web::resource("/banning").wrap(banning).route(web::get().to(async || "ok"))),
    )
    .await;
    let problem = async |request| {
        let answer = send(&app, request).await;
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["status"], answer.status);
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        (answer.status, problem["type"].clone(), problem["violated-policies"].clone())
    };
    let json = |path| accepting("application/json", path);
    for _ in 0..2 {
        get(&app, 1, "/limited").await;
    }
    get(&app, 1, "/unnamed").await;
    for (path, policy) in [("/limited", "search"), ("/unnamed", "unnamed"), ("/costly", "costly")] {
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
        problem(from_client(99, accepting("application/json", "/limited"))).await,
        forbidden
    );

    let text = send(&app, accepting("text/html, */*", "/limited")).await;
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    store.fail(StoreError::Unreachable);
    let away =
        (503, format!("{PROBLEM}#temporary-reduced-capacity").into(), serde_json::Value::Null);
    assert_eq!(problem(json("/limited")).await, away);
    let text = get(&app, 1, "/limited").await;
    assert_eq!((text.status, text.header("retry-after")), (503, Some("1")));
    assert_eq!(text.header("cache-control"), Some("no-store"));
}

#[actix_web::test]
async fn bodies_may_be_in_one_form_for_all() {
    for (body, accept, content_type) in [
        (RefusalBody::ProblemDetails, "text/html", "application/problem+json"),
        (RefusalBody::Text, "application/json", "text/plain; charset=utf-8"),
    ] {
        let app = app!(builder().refusal_body(body).build().unwrap());
        for _ in 0..2 {
            get(&app, 1, "/limited").await;
        }
        let refused = send(&app, accepting(accept, "/limited")).await;
        assert_eq!((refused.status, refused.header("content-type")), (429, Some(content_type)));
    }
}

#[actix_web::test]
async fn an_answer_of_the_users_own_is_told_the_numbers_and_not_to_be_stored() {
    let guard = builder()
        .on_denied(|_, decision| {
            HttpResponse::Conflict().body(format!("guard {}", decision.limit()))
        })
        .build()
        .unwrap();
    let limit = RateLimit::new(&guard, "1/minute").name("middleware").on_denied(own_answer);
    let two = RateLimit::new(&guard, "5/minute")
        .name("loose")
        .on_denied(|_, _| panic!("it has not denied"))
        .and("1/minute")
        .name("tight")
        .on_denied(own_answer);
    let ok = || web::get().to(async || "ok");
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service((limited, own, own_closure))
            .service(web::resource("/middleware").wrap(limit).route(ok()))
            .service(web::resource("/two").wrap(two).route(ok())),
    )
    .await;
    for path in ["/limited", "/limited", "/own", "/own-closure", "/middleware", "/two"] {
        assert_eq!(get(&app, 1, path).await.status, 200);
    }
    for (path, status, body, cache, wait) in [
        ("/limited", 409, "guard 2", "no-store", "10"),
        ("/own", 418, "/own 1", "private, no-store", "60"),
        ("/own-closure", 418, "1", "no-store", "60"),
        ("/middleware", 418, "/middleware 1", "private, no-store", "60"),
        ("/two", 418, "/two 1", "private, no-store", "60"),
    ] {
        let answer = get(&app, 1, path).await;
        assert_eq!((answer.status, &*answer.body), (status, body), "{path}");
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
        // Ours is the true one.
        assert_eq!(answer.header("retry-after"), Some(wait), "{path}");
        assert_eq!(answer.numbers().map(|[_, remaining, _]| remaining), Some(0), "{path}");
    }
}
