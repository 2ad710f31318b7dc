//! Tests the middleware around an application, around a scope, and around a resource.

use std::time::Duration;

use actix_cors::Cors;
use actix_rateguard::{Limit, OnError, Quota, RateGuard, RateLimit, rate_limit, test_util};
use actix_web::{
    App, Error, HttpResponse, ResponseError,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    error::ErrorForbidden,
    http::StatusCode,
    middleware::{Next, from_fn},
    test::{TestRequest, init_service},
    web,
};

use crate::support::app::{from_client, get, send, statuses};

async fn ok() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn middleware_limits_application_scope_and_resource() {
    let guard = RateGuard::in_memory();
    let app = init_service(
        App::new()
            .route("/", web::get().to(ok))
            .service(
                web::scope("/scope")
                    .wrap(RateLimit::new(&guard, Limit::new("2/minute").name("scope")))
                    .route("/a", web::get().to(ok))
                    .route("/b", web::get().to(ok)),
            )
            .service(
                web::resource("/resource")
                    .wrap(RateLimit::new(&guard, Limit::new("1/minute").name("resource")))
                    .route(web::get().to(ok)),
            )
            .wrap(RateLimit::new(&guard, Quota::new(9, Duration::from_secs(60)).unwrap())),
    )
    .await;
    assert_eq!(statuses(&app, 1, "/resource", 2).await, [200, 429]);
    assert_eq!(statuses(&app, 1, "/scope/a", 1).await, [200]);
    assert_eq!(statuses(&app, 1, "/scope/b", 2).await, [200, 429]);
    // The outer limit has already counted the 5 requests above, because it also counts requests that an inner limit
    // denies.
    assert_eq!(statuses(&app, 1, "/", 5).await, [200, 200, 200, 200, 429]);
    assert_eq!(statuses(&app, 2, "/", 1).await, [200]);
}

#[actix_web::test]
async fn requests_without_a_route_are_limited() {
    let guard = RateGuard::in_memory();
    let app = init_service(App::new().wrap(RateLimit::new(&guard, "2/minute"))).await;
    assert_eq!(statuses(&app, 1, "/nowhere", 3).await, [404, 404, 429]);
}

#[actix_web::test]
async fn headers_report_the_tightest_of_nested_limits() {
    #[rate_limit(rate = "5/minute")]
    async fn five() -> &'static str {
        "ok"
    }

    for (outer, inner) in [("3/minute", "100/minute"), ("100/minute", "3/minute")] {
        let guard = RateGuard::in_memory();
        let app = init_service(
            App::new()
                .app_data(guard.clone())
                .service(
                    web::scope("/scope")
                        .wrap(RateLimit::new(&guard, Limit::new(inner).name("inner")))
                        .route("/", web::get().to(five)),
                )
                .wrap(RateLimit::new(&guard, outer)),
        )
        .await;
        for remaining in [2, 1, 0, 0] {
            let response = get(&app, 1, "/scope/").await;
            assert_eq!(response.numbers().unwrap()[..2], [3, remaining], "{outer} {inner}");
        }
    }
}

#[actix_web::test]
async fn retry_after_covers_all_nested_limits() {
    let (guard, clock) = test_util::guard();
    let app = init_service(
        App::new()
            .service(
                web::resource("/")
                    .wrap(RateLimit::new(&guard, Limit::new("1/2s").name("inner")))
                    .route(web::get().to(ok)),
            )
            .wrap(RateLimit::new(&guard, "2/hour")),
    )
    .await;
    assert_eq!(get(&app, 1, "/").await.status, 200);
    let denied = get(&app, 1, "/").await;
    assert_eq!((denied.status, denied.header("Retry-After")), (429, Some("3600")));
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(get(&app, 1, "/").await.status, 200);
}

#[actix_web::test]
async fn cors_middleware_adds_headers_to_rejections() {
    let guard = RateGuard::in_memory();
    let cors = || {
        Cors::default()
            .allowed_origin("https://app.example")
            .allowed_methods(["GET"])
            .expose_headers(["X-RateLimit-Remaining", "Retry-After"])
    };
    let app = init_service(
        App::new()
            .route("/", web::get().to(ok))
            .wrap(RateLimit::new(&guard, "1/minute"))
            .wrap(cors()),
    )
    .await;
    for status in [200, 429] {
        let request = TestRequest::get().uri("/").insert_header(("Origin", "https://app.example"));
        let response = send(&app, from_client(1, request)).await;
        assert_eq!(response.status, status);
        assert_eq!(response.header("Access-Control-Allow-Origin"), Some("https://app.example"));
        let exposed = response.header("Access-Control-Expose-Headers").unwrap().to_lowercase();
        assert!(exposed.contains("retry-after"), "{exposed}");
    }
    // The CORS middleware responds to a preflight itself. Therefore the limit does not count the preflight.
    let preflight = TestRequest::default()
        .method(actix_web::http::Method::OPTIONS)
        .uri("/")
        .insert_header(("Origin", "https://app.example"))
        .insert_header(("Access-Control-Request-Method", "GET"));
    assert_eq!(send(&app, from_client(2, preflight)).await.status, 200);
    let request = TestRequest::get().uri("/").insert_header(("Origin", "https://app.example"));
    assert_eq!(send(&app, from_client(2, request)).await.status, 200);
}

async fn forbid(
    _: ServiceRequest,
    _: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    Err::<ServiceResponse<String>, _>(ErrorForbidden("forbidden"))
}

#[actix_web::test]
async fn error_of_an_inner_middleware_gets_headers() {
    let guard = RateGuard::in_memory();
    let app = init_service(
        App::new()
            .service(
                web::scope("/tight")
                    .wrap(from_fn(forbid))
                    .wrap(RateLimit::new(&guard, Limit::new("2/minute").name("tight")))
                    .route("/", web::get().to(ok)),
            )
            .wrap(RateLimit::new(&guard, "9/minute")),
    )
    .await;
    for (status, body, remaining) in [(403, "forbidden", 1), (403, "forbidden", 0)] {
        let response = get(&app, 1, "/tight/").await;
        assert_eq!((response.status, &*response.body), (status, body));
        assert_eq!(response.numbers().unwrap()[..2], [2, remaining]);
    }
    assert_eq!(get(&app, 1, "/tight/").await.status, 429);
}

#[derive(Debug)]
struct NoTenant;

impl std::fmt::Display for NoTenant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no tenant")
    }
}

impl ResponseError for NoTenant {
    fn status_code(&self) -> StatusCode {
        StatusCode::PAYMENT_REQUIRED
    }
}

async fn require_tenant(
    _: ServiceRequest,
    _: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    Err::<ServiceResponse<String>, _>(NoTenant.into())
}

#[actix_web::test]
async fn error_of_an_inner_service_keeps_its_type() {
    #[rate_limit(rate = "9/minute")]
    async fn limited() -> Result<&'static str, NoTenant> {
        Err(NoTenant)
    }

    let guard = RateGuard::in_memory();
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(
                web::resource("/middleware")
                    .wrap(from_fn(require_tenant))
                    .wrap(Cors::default().allowed_origin("https://app.example"))
                    .wrap(RateLimit::new(&guard, Limit::new("2/minute").name("inner")))
                    .route(web::get().to(ok)),
            )
            .route("/handler", web::get().to(limited))
            .wrap(RateLimit::new(&guard, "9/minute")),
    )
    .await;
    let request = |path| {
        let request = TestRequest::get().uri(path).insert_header(("Origin", "https://app.example"));
        from_client(1, request).to_request()
    };
    let error = app.call(request("/middleware")).await.unwrap_err();
    assert!(error.as_error::<NoTenant>().is_some(), "{error:?}");
    // An outer middleware may create the response more than once.
    for _ in 0..2 {
        let response = error.error_response();
        assert_eq!(response.status(), 402);
        let header = |name| response.headers().get(name).unwrap();
        assert_eq!(header("X-RateLimit-Limit"), "2");
        assert_eq!(header("X-RateLimit-Remaining"), "1");
        assert_eq!(header("Access-Control-Allow-Origin"), "https://app.example");
    }
    let response = app.call(request("/handler")).await.unwrap();
    let error = response.response().error().unwrap();
    assert!(error.as_error::<NoTenant>().is_some(), "{error:?}");
}

#[actix_web::test]
async fn cloned_middleware_shares_counts_between_workers() {
    let limit =
        RateLimit::new(&RateGuard::in_memory(), Limit::new("1/minute").on_error(OnError::Closed));
    let create_app = move || App::new().wrap(limit.clone()).route("/", web::get().to(ok));
    fn assert_send_and_clone<T: Send + Clone>(it: T) -> T {
        it
    }
    let create_app = assert_send_and_clone(create_app);
    let (one, other) = (init_service(create_app()).await, init_service(create_app()).await);
    assert_eq!(get(&one, 1, "/").await.status, 200);
    assert_eq!(get(&other, 1, "/").await.status, 429);
}

#[actix_web::test]
async fn streaming_bodies_are_unchanged() {
    let guard = RateGuard::in_memory();
    let stream = || async {
        let parts = ["one ", "two"].map(|part| Ok::<_, Error>(web::Bytes::from(part)));
        HttpResponse::Ok().streaming(futures_util::stream::iter(parts))
    };
    let app = init_service(
        App::new().route("/", web::get().to(stream)).wrap(RateLimit::new(&guard, "1/minute")),
    )
    .await;
    assert_eq!(get(&app, 1, "/").await.body, "one two");
}

#[test]
#[should_panic(expected = "unknown unit of time `minut`; did you mean `minute`?")]
fn invalid_rate_of_a_middleware_panics() {
    let _ = RateLimit::new(&RateGuard::in_memory(), "100/minut");
}

#[test]
#[should_panic(expected = "expected a limit that is a whole number from 1 to 2147483648")]
fn zero_limit_of_a_middleware_panics() {
    let _ = RateLimit::new(&RateGuard::in_memory(), "0/minute");
}
