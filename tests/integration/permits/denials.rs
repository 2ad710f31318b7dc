//! Tests the responses to requests without a permit, and what operators see.

use actix_rateguard::{
    HeaderDialect, Key, Policy, QuotaStatus, RateGuard, RateLimit, RejectionBody,
};
use actix_web::{App, web};

use crate::support::app::get;

fn guard(dialects: &[HeaderDialect]) -> RateGuard {
    RateGuard::builder()
        .headers(dialects.iter().copied())
        .rejection_body(RejectionBody::ProblemDetails)
        .build()
        .unwrap()
}

const ALL: [HeaderDialect; 2] = [HeaderDialect::XRateLimit, HeaderDialect::Draft];

#[actix_web::test]
async fn denial_reports_only_what_is_known() {
    let guard = guard(&ALL);
    let policy = Policy::new("exports", "1 concurrent").unwrap();
    let limit = actix_rateguard::Limit::new("1 concurrent")
        .name("exports")
        .key(|_: &actix_web::HttpRequest| Key::from("k"));
    let app =
        App::new().wrap(RateLimit::new(&guard, limit)).route("/", web::get().to(async || "done"));
    let app = actix_web::test::init_service(app).await;
    let allowed = get(&app, 1, "/").await;
    assert_eq!(allowed.header("x-ratelimit-limit"), Some("1"));
    assert_eq!(allowed.header("x-ratelimit-reset"), None);
    let permit = guard.acquire(&policy, &Key::from("k")).await.unwrap();
    assert!(permit.is_granted());
    let denied = get(&app, 1, "/").await;
    assert_eq!(denied.status, 429);
    for (name, value) in [
        ("retry-after", None),
        ("ratelimit-policy", Some(r#""exports";q=1;qu="concurrent-requests""#)),
        ("ratelimit", Some(r#""exports";r=0"#)),
        ("x-ratelimit-limit", Some("1")),
        ("x-ratelimit-remaining", Some("0")),
        ("x-ratelimit-reset", None),
    ] {
        assert_eq!(denied.header(name), value, "{name}");
    }
    let problem: serde_json::Value = serde_json::from_str(&denied.body).unwrap();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["violated-policies"], serde_json::json!(["exports"]));
    assert!(problem["detail"].as_str().unwrap().starts_with("Too many requests in progress."));
}

#[actix_web::test]
async fn denial_by_rate_and_permits_reports_the_wait_of_the_rate() {
    let guard = guard(&ALL);
    let policy = Policy::new("both", "1/hour; 1 concurrent").unwrap();
    let permit = guard.acquire(&policy, &Key::global()).await.unwrap().into_permit().unwrap();
    let denial = guard.acquire(&policy, &Key::global()).await.unwrap();
    let denial = denial.decision();
    assert!(denial.is_denied_by_concurrency() && !denial.is_too_costly());
    assert!(denial.retry_after().is_some_and(|wait| wait.as_secs() > 3_500));
    assert!(denial.statuses().iter().any(QuotaStatus::lacks_permit));
    drop(permit);
}

#[actix_web::test]
async fn denial_of_permits_is_no_offence_and_is_not_cached() {
    let server = crate::support::redis_server::RedisServer::start();
    let guard = server.settings_with_denial_cache("offence").build().unwrap();
    let policy = Policy::new("banned", "1000/hour; 1 concurrent").unwrap();
    let policy = policy.ban("2/hour for 1h").unwrap();
    let permit = loop {
        if let Ok(acquired) = guard.acquire(&policy, &Key::global()).await {
            break acquired.into_permit().unwrap();
        }
    };
    let mut denials = 0;
    while denials < 5 {
        if let Ok(denial) = guard.acquire(&policy, &Key::global()).await {
            assert!(!denial.is_granted() && denial.decision().banned_for().is_none());
            denials += 1;
        }
    }
    permit.release().await;
    // A cached denial would last for up to a second.
    loop {
        if let Ok(acquired) = guard.acquire(&policy, &Key::global()).await {
            assert!(acquired.is_granted());
            break;
        }
    }
}

#[actix_web::test]
async fn explanation_shows_how_many_permits_are_held() {
    let guard = RateGuard::in_memory();
    let policy = Policy::new("exports", "2 concurrent").unwrap();
    let _permits = [
        guard.acquire(&policy, &Key::from("k")).await.unwrap(),
        guard.acquire(&policy, &Key::from("k")).await.unwrap(),
    ];
    let limit = actix_rateguard::Limit::new("2 concurrent")
        .name("exports")
        .key(|_: &actix_web::HttpRequest| Key::from("k"));
    let middleware = RateLimit::new(&guard, limit);
    let app = App::new().wrap(middleware.clone()).route("/", web::get().to(async || "done"));
    let _app = actix_web::test::init_service(app).await;
    let request = actix_web::test::TestRequest::get().uri("/").to_http_request();
    let explanation = guard.explain_request(&request, &[]).await;
    let text = explanation.to_string();
    assert!(text.contains("denied: all permits are held; 2 of 2 concurrent held"), "{text}");
    assert_eq!((explanation.passes(), explanation.retry_after()), (Some(false), None));
}
