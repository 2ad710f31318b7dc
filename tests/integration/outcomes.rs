//! Tests limits that count a request only if its response has a certain outcome.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use actix_rateguard::{Count, Limit, RateGuard, RateLimit, rate_limit, test_util};
use actix_web::{
    App, HttpResponse,
    dev::{Service, ServiceResponse},
    error, get,
    test::{TestRequest, init_service},
    web,
};
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::support::{
    app::{from_client, get, send, statuses},
    redis_server::RedisServer,
};

#[get("/login/{status}")]
#[rate_limit(rate = "3/minute", count = "failure")]
async fn login(status: web::Path<u16>) -> HttpResponse {
    HttpResponse::build((*status).try_into().unwrap()).finish()
}

#[get("/exact/{status}")]
#[rate_limit(rate = "2/minute", count = "status:401")]
async fn exact(status: web::Path<u16>) -> actix_web::Result<&'static str> {
    match *status {
        401 => Err(error::ErrorUnauthorized("no")),
        404 => Err(error::ErrorNotFound("no")),
        _ => Ok("ok"),
    }
}

#[get("/success/{status}")]
#[rate_limit(rate = "2/minute", count = "success")]
#[rate_limit(rate = "4/minute", name = "all-responses")]
async fn success(status: web::Path<u16>) -> HttpResponse {
    HttpResponse::build((*status).try_into().unwrap()).finish()
}

#[actix_web::test]
async fn attribute_counts_only_configured_responses() {
    let guard = RateGuard::in_memory();
    let app = app!(guard, login, exact, success);
    assert_eq!(statuses(&app, 1, "/login/200", 9).await, [200; 9]);
    // The limit does not count a request whose response has the status 302. The headers report the remaining units
    // after the refund of this request.
    assert_eq!(get(&app, 1, "/login/302").await.numbers(), Some([3, 3, 0]));
    assert_eq!(get(&app, 1, "/login/401").await.numbers().unwrap()[..2], [3, 2]);
    assert_eq!(statuses(&app, 1, "/login/500", 3).await, [500, 500, 429]);
    assert_eq!(get(&app, 1, "/login/200").await.status, 429);

    assert_eq!(statuses(&app, 1, "/exact/404", 5).await, [404; 5]);
    assert_eq!(statuses(&app, 1, "/exact/401", 3).await, [401, 401, 429]);

    // Two limits apply to these requests: one limit counts only successful responses, and the other limit counts all
    // responses.
    assert_eq!(statuses(&app, 1, "/success/404", 2).await, [404; 2]);
    assert_eq!(get(&app, 1, "/success/200").await.numbers().unwrap()[..2], [2, 1]);
    assert_eq!(statuses(&app, 1, "/success/404", 2).await, [404, 429]);
}

#[actix_web::test]
async fn middleware_counts_only_configured_responses() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("2/minute").count(Count::Failure));
    let status =
        async |status: web::Path<u16>| HttpResponse::build((*status).try_into().unwrap()).finish();
    let app = init_service(
        App::new()
            .service(
                web::scope("/api")
                    .wrap(limit)
                    .route("/{status}", web::get().to(status))
                    // If an inner middleware returns an error, the limit counts the request like a request whose
                    // response has an error status.
                    .service(web::resource("/inner/error").wrap_fn(|request, service| {
                        let response = service.call(request);
                        async {
                            let _ = response.await?;
                            Err::<ServiceResponse, _>(error::ErrorBadGateway("no"))
                        }
                    })),
            )
            .wrap(RateLimit::new(&guard, Limit::new("100/minute").name("outer"))),
    )
    .await;
    assert_eq!(statuses(&app, 1, "/api/200", 5).await, [200; 5]);
    assert_eq!(get(&app, 1, "/api/200").await.numbers().unwrap()[..2], [2, 2]);
    let failed = get(&app, 1, "/api/inner/error").await;
    assert_eq!((failed.status, failed.numbers().unwrap()[1]), (502, 1));
    assert_eq!(statuses(&app, 1, "/api/404", 2).await, [404, 429]);
}

#[actix_web::test]
async fn error_through_nested_limits_reports_the_tightest() {
    let guard = RateGuard::in_memory();
    let outer = RateLimit::new(&guard, Limit::new("5/minute").count(Count::Success).name("outer"));
    let inner = RateLimit::new(&guard, Limit::new("100/minute").name("inner"));
    let fails = web::resource("/").wrap_fn(|request, service| {
        let response = service.call(request);
        async {
            let _ = response.await?;
            Err::<ServiceResponse, _>(error::ErrorNotFound("no"))
        }
    });
    let app = init_service(
        App::new().service(fails.route(web::get().to(async || "ok")).wrap(inner).wrap(outer)),
    )
    .await;
    let failed = get(&app, 1, "/").await;
    assert_eq!((failed.status, &failed.numbers().unwrap()[..2]), (404, &[5, 5][..]));
}

/// An error type that implements `error_response`, but not `status_code`.
#[derive(Debug)]
struct ResponseOnlyError;

impl std::fmt::Display for ResponseOnlyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("unauthorized")
    }
}

impl actix_web::ResponseError for ResponseOnlyError {
    fn error_response(&self) -> HttpResponse {
        HttpResponse::Unauthorized().body("no")
    }
}

#[actix_web::test]
async fn error_is_counted_by_its_response_status() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("2/hour").count("status:401"));
    let fails = web::resource("/").wrap_fn(|request, service| {
        let response = service.call(request);
        async {
            let _ = response.await?;
            Err::<ServiceResponse, _>(ResponseOnlyError.into())
        }
    });
    let app =
        init_service(App::new().service(fails.route(web::get().to(async || "ok")).wrap(limit)))
            .await;
    let first = get(&app, 1, "/").await;
    assert_eq!((first.status, &*first.body, first.numbers().unwrap()[1]), (401, "no", 1));
    assert_eq!(statuses(&app, 1, "/", 2).await, [401, 429]);
    // This error can create its response only once. The middleware must still send this response.
    let once = web::resource("/").wrap_fn(|request, service| {
        let response = service.call(request);
        async {
            let _ = response.await?;
            let response = HttpResponse::Unauthorized().body("once");
            let error = error::InternalError::from_response("", response);
            Err::<ServiceResponse, _>(error.into())
        }
    });
    let guard = RateGuard::in_memory();
    let [inner, outer] = ["inner", "outer"]
        .map(|name| RateLimit::new(&guard, Limit::new("2/hour").count(Count::Failure).name(name)));
    let app = init_service(
        App::new().service(once.route(web::get().to(async || "ok")).wrap(inner).wrap(outer)),
    )
    .await;
    let first = get(&app, 1, "/").await;
    assert_eq!((first.status, &*first.body, first.numbers().unwrap()[1]), (401, "once", 1));
}

/// Sends 40 concurrent HTTP requests whose responses count. Only as many requests as the limit allows may reach the
/// handler.
#[actix_web::test]
async fn outcome_limit_is_exact_under_concurrency() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("outcomes")] {
        let handled = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let (counted, opened) = (Arc::clone(&handled), Arc::clone(&gate));
        let fail = move || {
            let (handled, gate) = (Arc::clone(&counted), Arc::clone(&opened));
            async move {
                handled.fetch_add(1, SeqCst);
                let _ = gate.acquire().await.unwrap();
                HttpResponse::Unauthorized().finish()
            }
        };
        let limit = RateLimit::new(&guard, Limit::new("5/hour").count(Count::Failure));
        let app = init_service(
            App::new().service(web::resource("/").wrap(limit).route(web::get().to(fail))),
        )
        .await;
        let requests = (0..40).map(|_| send(&app, from_client(1, TestRequest::get().uri("/"))));
        let open = async {
            // After 300 ms, all HTTP requests are waiting, either for the guard or for the handler. On a slow machine,
            // only some of them may be waiting.
            tokio::time::sleep(Duration::from_millis(300)).await;
            gate.add_permits(1_000);
        };
        let (responses, ()) = futures_util::future::join(join_all(requests), open).await;
        let failed = responses.iter().filter(|response| response.status == 401).count();
        assert_eq!((failed, handled.load(SeqCst)), (5, 5));
    }
}

#[actix_web::test]
async fn cancelled_request_is_counted() {
    let (guard, _clock) = test_util::guard();
    let limit = RateLimit::new(&guard, Limit::new("1/hour").count(Count::Failure));
    let app = init_service(App::new().service(web::resource("/").wrap(limit).route(
        web::get().to(async || {
            std::future::pending::<()>().await;
            "never"
        }),
    )))
    .await;
    let request = || send(&app, from_client(1, TestRequest::get().uri("/")));
    let cancelled = tokio::time::timeout(Duration::from_millis(20), request()).await;
    assert!(cancelled.is_err());
    assert_eq!(request().await.status, 429);
}
