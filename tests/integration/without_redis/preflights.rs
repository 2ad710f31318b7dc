//! Tests limits of requests that look like CORS preflights. Such a request counts, unless a CORS middleware inside the
//! limit has responded to it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use actix_cors::Cors;
use actix_rateguard::{Limit, Policy, RateGuard, RateLimit, key, rate_limit, test_util};
use actix_web::{
    App, HttpResponse, Responder,
    http::Method,
    middleware::DefaultHeaders,
    test::{TestRequest, init_service},
    web,
};

use crate::support::{
    app::{from_client, send},
    log_lines,
};

fn preflight(path: &str) -> TestRequest {
    TestRequest::with_uri(path)
        .method(Method::OPTIONS)
        .insert_header(("Origin", "https://shop.example"))
        .insert_header(("Access-Control-Request-Method", "PUT"))
}

fn cors() -> Cors {
    Cors::default().allowed_origin("https://shop.example").allow_any_method()
}

#[rate_limit(rate = "1/hour")]
async fn attribute(handled: web::Data<AtomicUsize>) -> impl Responder {
    handled.fetch_add(1, SeqCst);
    "ok"
}

async fn handler(handled: web::Data<AtomicUsize>) -> HttpResponse {
    handled.fetch_add(1, SeqCst);
    // A handler may write this header itself. It is not a sign that the request has reached no handler.
    HttpResponse::Ok().insert_header(("Access-Control-Allow-Methods", "PUT")).finish()
}

#[actix_web::test]
async fn preflights_that_reach_a_handler_count() {
    let guard = RateGuard::in_memory();
    let limit = |name| RateLimit::new(&guard, Limit::new("1/hour").name(name));
    let own_headers = || {
        let headers = DefaultHeaders::new();
        headers.add(("Access-Control-Allow-Methods", "PUT")).add(("Vary", "Origin"))
    };
    let handled = web::Data::new(AtomicUsize::new(0));
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .app_data(handled.clone())
            .service(web::resource("/attribute").to(attribute))
            .service(web::resource("/resource").wrap(limit("resource")).to(handler))
            .service(
                web::resource("/own-headers")
                    .wrap(own_headers())
                    .wrap(limit("own-headers"))
                    .to(handler),
            )
            .service(
                web::resource("/cors-without-preflights")
                    .wrap(cors().disable_preflight())
                    .wrap(limit("cors"))
                    .to(attribute),
            ),
    )
    .await;
    for (client, path) in
        [(1, "/attribute"), (2, "/resource"), (3, "/own-headers"), (4, "/cors-without-preflights")]
    {
        handled.store(0, SeqCst);
        let mut statuses = Vec::new();
        for _ in 0..50 {
            statuses.push(send(&app, from_client(client, preflight(path))).await.status);
        }
        assert_eq!(statuses[0], 200, "{path}");
        assert!(statuses[1..].iter().all(|status| *status == 429), "{path}: {statuses:?}");
        assert_eq!(handled.load(SeqCst), 1, "{path}");
    }
}

#[actix_web::test]
async fn handler_that_responds_to_preflights_like_cors_is_treated_as_cors() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("1/365d").name("own-preflights"));
    let handler = async || {
        let mut response = HttpResponse::Ok();
        response.insert_header(("Access-Control-Allow-Methods", "PUT"));
        response.insert_header(("Vary", "Origin, Access-Control-Request-Method")).finish()
    };
    let app = App::new().service(web::resource("/").wrap(limit).to(handler));
    let app = init_service(app).await;
    for _ in 0..3 {
        assert_eq!(send(&app, from_client(1, preflight("/"))).await.status, 200);
    }
}

#[actix_web::test]
async fn preflight_with_an_invalid_method_counts() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("1/hour").name("invalid-method"));
    let headers = DefaultHeaders::new().add(("Access-Control-Allow-Methods", "PUT"));
    let handled = web::Data::new(AtomicUsize::new(0));
    let resource = web::resource("/").wrap(cors()).wrap(headers).wrap(limit).to(handler);
    let app = init_service(App::new().app_data(handled.clone()).service(resource)).await;
    for expected in [200, 429, 429] {
        // actix-cors does not respond to this request itself.
        let invalid = preflight("/").insert_header(("Access-Control-Request-Method", "("));
        assert_eq!(send(&app, from_client(1, invalid)).await.status, expected);
    }
    assert_eq!(handled.load(SeqCst), 1);
}

#[actix_web::test]
async fn cross_origin_scripts_can_read_rejections_and_headers() {
    let guard = RateGuard::in_memory();
    let cors = cors().expose_headers(guard.header_names());
    let limit = RateLimit::new(&guard, "1/minute");
    let app = App::new().route("/", web::put().to(async || "ok")).wrap(limit).wrap(cors);
    let app = init_service(app).await;
    let send_put = async || {
        let put = TestRequest::put().uri("/").insert_header(("Origin", "https://shop.example"));
        send(&app, from_client(1, put)).await
    };
    // The CORS middleware responds to preflights, so they do not reach the limit.
    for _ in 0..3 {
        assert_eq!(send(&app, from_client(1, preflight("/"))).await.status, 200);
    }
    assert_eq!(send_put().await.status, 200);
    let denied = send_put().await;
    assert_eq!((denied.status, denied.header("retry-after")), (429, Some("60")));
    assert_eq!(denied.header("access-control-allow-origin"), Some("https://shop.example"));
    let exposed = denied.header("access-control-expose-headers").unwrap().to_lowercase();
    for name in ["retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    assert_eq!(send(&app, from_client(1, preflight("/"))).await.status, 200);
}

#[actix_web::test]
async fn preflight_to_which_cors_inside_the_limit_responds_is_refunded_with_one_warning() {
    log_lines::collect();
    let guard = RateGuard::in_memory();
    let shadow = Limit::new("9/365d").name("shadow-preflight").shadow();
    let limit = RateLimit::new(&guard, Limit::new("1/365d").name("enforced-preflight")).and(shadow);
    let alone = Limit::new("9/365d").name("alone").shadow();
    let app = App::new().route("/", web::put().to(async || "ok")).wrap(cors()).wrap(limit);
    let app = init_service(app.wrap(RateLimit::new(&guard, alone))).await;
    for _ in 0..3 {
        let response = send(&app, from_client(1, preflight("/"))).await;
        // The headers report the units after the refund.
        assert_eq!((response.status, response.numbers().unwrap()[1]), (200, 1));
    }
    let rejected = preflight("/").insert_header(("Access-Control-Request-Headers", "X-Other"));
    // The CORS middleware does not allow this preflight, so its response does not allow methods, and it counts.
    assert_eq!(send(&app, from_client(1, rejected)).await.status, 400);
    // While the limit is used up, preflights are rejected like other requests.
    assert_eq!(send(&app, from_client(1, preflight("/"))).await.status, 429);

    // The limits in shadow mode have counted the two requests that are not refunded, also the one that is rejected.
    let client = key::ip().key_of("192.0.2.1").unwrap();
    for name in ["shadow-preflight", "alone"] {
        let policy = Policy::new(name, "9/365d").unwrap().shadow();
        let remaining = guard.peek(&policy, &client).await.unwrap().remaining();
        assert_eq!(remaining, 7, "{name}");
    }
    let lines = log_lines::with("came from inside a `RateLimit`");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN "), "{lines:?}");
    assert!(lines[0].contains("`.wrap(cors)` after `.wrap(rate_limit)`"), "{lines:?}");
}

#[actix_web::test]
async fn warning_about_preflights_is_true_for_a_handler_that_responds_to_them() {
    log_lines::collect();
    let handler = async || {
        HttpResponse::Ok()
            .insert_header(("Access-Control-Allow-Methods", "PUT"))
            .insert_header(("Vary", "Access-Control-Request-Method"))
            .finish()
    };
    let limit = RateLimit::new(&RateGuard::in_memory(), "1/hour");
    let app = init_service(App::new().service(web::resource("/").wrap(limit).to(handler))).await;
    assert_eq!(send(&app, from_client(1, preflight("/"))).await.status, 200);
    // The process logs the warning only once, so another test may have caused it. Its text is always the same.
    let lines = log_lines::with("a CORS preflight");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("if it is the middleware `actix_cors::Cors`"), "{lines:?}");
    assert_eq!(log_lines::with("`Cors` is inside"), [""; 0]);
}

#[actix_web::test]
async fn denied_preflights_lead_to_a_ban() {
    let (guard, _clock) = test_util::guard();
    let limit = RateLimit::new(&guard, Limit::new("1/minute").ban("2/hour for 1d"));
    let handled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&handled);
    let handler = move || {
        counted.fetch_add(1, SeqCst);
        std::future::ready("ok")
    };
    let app = init_service(App::new().service(web::resource("/").wrap(limit).to(handler))).await;
    for expected in [None, Some("60"), Some("86400"), Some("86400")] {
        let response = send(&app, from_client(1, preflight("/"))).await;
        assert_eq!(response.header("retry-after"), expected);
    }
    assert_eq!(handled.load(SeqCst), 1);
}
