//! The middleware around an application, a scope and a resource.

use std::time::Duration;

use actix_cors::Cors;
use actix_web::{
    App, Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::ErrorForbidden,
    middleware::{Next, from_fn},
    test::{TestRequest, init_service},
    web,
};
use rateguard::{OnError, Quota, RateGuard, RateLimit, rate_limit, test_util};

use crate::support::app::{from_client, get, send, statuses};

async fn ok() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn it_limits_an_application_a_scope_and_a_resource() {
    let guard = RateGuard::in_memory();
    let app = init_service(
        App::new()
            .route("/", web::get().to(ok))
            .service(
                web::scope("/scope")
                    .wrap(RateLimit::new(&guard, "2/minute").name("scope"))
                    .route("/a", web::get().to(ok))
                    .route("/b", web::get().to(ok)),
            )
            .service(
                web::resource("/resource")
                    .wrap(RateLimit::new(&guard, "1/minute").name("resource"))
                    .route(web::get().to(ok)),
            )
            .wrap(RateLimit::new(&guard, Quota::new(9, Duration::from_secs(60)).unwrap())),
    )
    .await;
    assert_eq!(statuses(&app, 1, "/resource", 2).await, [200, 429]);
    assert_eq!(statuses(&app, 1, "/scope/a", 1).await, [200]);
    assert_eq!(statuses(&app, 1, "/scope/b", 2).await, [200, 429]);
    // Two, one and two have passed the outer limit already, refused inside or not.
    assert_eq!(statuses(&app, 1, "/", 5).await, [200, 200, 200, 200, 429]);
    assert_eq!(statuses(&app, 2, "/", 1).await, [200]);
}

#[actix_web::test]
async fn what_no_route_matches_is_limited_too() {
    let guard = RateGuard::in_memory();
    let app = init_service(App::new().wrap(RateLimit::new(&guard, "2/minute"))).await;
    assert_eq!(statuses(&app, 1, "/nowhere", 3).await, [404, 404, 429]);
}

#[actix_web::test]
async fn the_tightest_of_several_limits_is_told_whichever_is_inside() {
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
                        .wrap(RateLimit::new(&guard, inner).name("inner"))
                        .route("/", web::get().to(five)),
                )
                .wrap(RateLimit::new(&guard, outer)),
        )
        .await;
        for remaining in [2, 1, 0, 0] {
            let answer = get(&app, 1, "/scope/").await;
            assert_eq!(answer.numbers().unwrap()[..2], [3, remaining], "{outer} {inner}");
        }
    }
}

#[actix_web::test]
async fn who_is_denied_by_one_of_several_limits_is_told_to_wait_for_all_of_them() {
    let (guard, clock) = test_util::guard();
    let app = init_service(
        App::new()
            .service(
                web::resource("/")
                    .wrap(RateLimit::new(&guard, "1/2s").name("inner"))
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
async fn actix_cors_around_it_decorates_refusals() {
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
        let answer = send(&app, from_client(1, request)).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("https://app.example"));
        let exposed = answer.header("Access-Control-Expose-Headers").unwrap().to_lowercase();
        assert!(exposed.contains("retry-after"), "{exposed}");
    }
    // actix-cors answers preflights itself, so they are not counted.
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
    Err::<ServiceResponse<String>, _>(ErrorForbidden("not you"))
}

#[actix_web::test]
async fn an_inner_middleware_that_fails_is_told_the_numbers_as_well() {
    let guard = RateGuard::in_memory();
    let app = init_service(
        App::new()
            .service(
                web::scope("/tight")
                    .wrap(from_fn(forbid))
                    .wrap(RateLimit::new(&guard, "2/minute").name("tight"))
                    .route("/", web::get().to(ok)),
            )
            .wrap(RateLimit::new(&guard, "9/minute")),
    )
    .await;
    for (status, body, remaining) in [(403, "not you", 1), (403, "not you", 0)] {
        let answer = get(&app, 1, "/tight/").await;
        assert_eq!((answer.status, &*answer.body), (status, body));
        assert_eq!(answer.numbers().unwrap()[..2], [2, remaining]);
    }
    assert_eq!(get(&app, 1, "/tight/").await.status, 429);
}

#[actix_web::test]
async fn it_may_be_made_once_and_cloned_into_every_worker() {
    let limit = RateLimit::new(&RateGuard::in_memory(), "1/minute").on_error(OnError::Closed);
    let make = move || App::new().wrap(limit.clone()).route("/", web::get().to(ok));
    fn sendable<T: Send + Clone>(it: T) -> T {
        it
    }
    let make = sendable(make);
    let (one, other) = (init_service(make()).await, init_service(make()).await);
    assert_eq!(get(&one, 1, "/").await.status, 200);
    assert_eq!(get(&other, 1, "/").await.status, 429);
}

#[actix_web::test]
async fn streaming_bodies_pass_through() {
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
#[should_panic(expected = "`minut` is not a window")]
fn a_rate_that_means_nothing_is_found_where_the_limit_is_made() {
    let _ = RateLimit::new(&RateGuard::in_memory(), "100/minut");
}

#[test]
#[should_panic(expected = "a limit is a whole number from 1 to 2147483648")]
fn a_limit_of_nothing_is_found_where_the_limit_is_made() {
    let _ = RateLimit::new(&RateGuard::in_memory(), "0/minute");
}
