//! What is not limited, and who is never let in.

use std::net::SocketAddr;

use actix_cors::Cors;
use actix_web::{
    App, HttpRequest, Responder, get,
    http::Method,
    route,
    test::{TestRequest, init_service},
    web,
};
use rateguard::{AccessList, ClientAddress, Plan, RateGuard, RateLimit, key, rate_limit};

use crate::support::app::{from_client, send, statuses};

fn is_health_check(request: &HttpRequest) -> bool {
    request.headers().contains_key("X-Health")
}

#[get("/skip")]
#[rate_limit(rate = "1/minute", skip = is_health_check)]
async fn skip() -> impl Responder {
    "ok"
}

#[get("/skip-closure")]
#[rate_limit(rate = "1/minute", skip = |req| req.headers().contains_key("X-Health"))]
async fn skip_closure() -> impl Responder {
    "ok"
}

#[rate_limit(rate = "1/minute", methods = "POST, PUT")]
#[route("/methods", method = "GET", method = "POST", method = "PUT")]
async fn methods() -> impl Responder {
    "ok"
}

#[get("/listed")]
#[rate_limit(rate = "1/minute", key = "header:X-User")]
async fn listed() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn what_is_skipped_is_neither_counted_nor_told_numbers() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, "1/minute").skip(is_health_check);
    let ok = || web::get().to(async || "ok");
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service((skip, skip_closure))
            .service(web::resource("/middleware").wrap(limit).route(ok())),
    )
    .await;
    for path in ["/skip", "/skip-closure", "/middleware"] {
        for _ in 0..3 {
            let request = TestRequest::get().uri(path).insert_header(("X-Health", "1"));
            let answer = send(&app, from_client(1, request)).await;
            assert_eq!((answer.status, answer.numbers()), (200, None), "{path}");
        }
        assert_eq!(statuses(&app, 1, path, 2).await, [200, 429], "{path}");
    }
}

#[actix_web::test]
async fn only_the_methods_that_are_named_are_limited_and_share_one_count() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, "1/minute").methods([Method::POST, Method::PUT]);
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(methods)
            .service(web::resource("/middleware").wrap(limit).to(async || "ok")),
    )
    .await;
    for path in ["/methods", "/middleware"] {
        let ask = async |method| {
            let request = TestRequest::with_uri(path).method(method);
            // Routes do not read it, so it does not matter.
            let request = request.insert_header(("X-HTTP-Method-Override", "GET"));
            send(&app, from_client(1, request)).await.status
        };
        for (method, status) in [
            (Method::GET, 200),
            (Method::POST, 200),
            (Method::PUT, 429),
            (Method::GET, 200),
            (Method::POST, 429),
        ] {
            assert_eq!(ask(method.clone()).await, status, "{path} {method}");
        }
    }
}

fn from(address: &str, path: &str) -> TestRequest {
    TestRequest::get().uri(path).peer_addr(SocketAddr::new(address.parse().unwrap(), 1))
}

#[actix_web::test]
async fn addresses_on_a_list_are_never_limited_or_always_refused() {
    let list = AccessList::new()
        .allow_addresses(["10.1.0.0/16", "fd00::/8"])
        .and_then(|list| list.deny_addresses(["10.0.0.0/8", "2001:db8::/32"]))
        .unwrap();
    let ok = || web::get().to(async || "ok");
    let listed_guard = RateGuard::builder().access(list.clone()).build().unwrap();
    let plain_guard = RateGuard::in_memory();
    let app = init_service(
        App::new()
            .app_data(listed_guard.clone())
            .service(listed)
            .service(
                web::resource("/guard").wrap(RateLimit::new(&listed_guard, "1/minute")).route(ok()),
            )
            .service(
                web::resource("/middleware")
                    .wrap(RateLimit::new(&plain_guard, "1/minute").access(list))
                    .route(ok()),
            ),
    )
    .await;
    for path in ["/listed", "/guard", "/middleware"] {
        for (address, expected) in [
            ("10.1.2.3", [200, 200]),
            ("::ffff:10.1.2.3", [200, 200]),
            ("fd00::1", [200, 200]),
            ("10.2.2.3", [403, 403]),
            ("2001:db8::1", [403, 403]),
            ("192.0.2.1", [200, 429]),
        ] {
            let mut told = Vec::new();
            for _ in 0..2 {
                let answer = send(&app, from(address, path)).await;
                assert_eq!(answer.numbers().is_some(), address == "192.0.2.1", "{path} {address}");
                told.push(answer.status);
            }
            assert_eq!(told, expected, "{path} {address}");
        }
    }
}

#[actix_web::test]
async fn behind_a_proxy_the_list_is_of_clients() {
    let rule = ClientAddress::behind(["192.0.2.0/24"]).unwrap();
    let list = AccessList::new().deny_addresses(["203.0.113.0/24"]).unwrap();
    let guard = RateGuard::builder().client_address(rule).access(list).build().unwrap();
    let app = init_service(App::new().app_data(guard).service(listed)).await;
    for (peer, claim, status) in [
        ("192.0.2.1", "203.0.113.9", 403),
        ("192.0.2.1", "198.51.100.9", 200),
        // Whoever is no proxy is nobody else.
        ("203.0.113.9", "198.51.100.9", 403),
        ("198.51.100.8", "203.0.113.9", 200),
    ] {
        let request = from(peer, "/listed").insert_header(("X-Forwarded-For", claim));
        assert_eq!(send(&app, request).await.status, status, "{peer} {claim}");
    }
}

#[actix_web::test]
async fn what_the_guards_list_says_of_somebody_a_middlewares_does_not_change() {
    let denied = AccessList::new().deny_addresses(["192.0.2.1"]).unwrap();
    let allowed = AccessList::new().allow_addresses(["192.0.2.0/24"]).unwrap();
    let guard = RateGuard::builder().access(denied).build().unwrap();
    let limit = RateLimit::new(&guard, "1/minute").access(allowed);
    let app = init_service(App::new().wrap(limit).route("/", web::get().to(async || "ok"))).await;
    assert_eq!(statuses(&app, 1, "/", 2).await, [403, 403]);
    assert_eq!(statuses(&app, 2, "/", 3).await, [200, 200, 200]);
}

#[actix_web::test]
async fn keys_on_a_list_are_never_limited_or_always_refused() {
    let user = |user: &str| key::header("X-User").key_of(user);
    let list = AccessList::new().allow_keys(user("monitor")).deny_keys(user("mallory"));
    let guard = RateGuard::builder().access(list.clone()).build().unwrap();
    let other = RateGuard::in_memory();
    let limit = RateLimit::new(&other, "1/minute").by(key::header("X-User")).access(list);
    let app = init_service(
        App::new()
            .app_data(guard)
            .service(listed)
            .service(web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok"))),
    )
    .await;
    for path in ["/listed", "/middleware"] {
        for (user, expected) in [
            ("monitor", [200, 200]),
            ("mallory", [403, 403]),
            ("ann", [200, 429]),
            ("", [200, 429]),
        ] {
            let mut told = Vec::new();
            for _ in 0..2 {
                let request = from("192.0.2.1", path).insert_header(("X-User", user));
                told.push(send(&app, request).await.status);
            }
            assert_eq!(told, expected, "{path} {user:?}");
        }
    }
}

#[actix_web::test]
async fn who_is_refused_is_refused_whatever_else_would_free_it() {
    let list = AccessList::new()
        .deny_addresses(["192.0.2.1"])
        .unwrap()
        .deny_keys(key::header("X-User").key_of("mallory"));
    let guard = RateGuard::builder().access(list).build().unwrap();
    let limit = RateLimit::per_request(&guard, |_: &HttpRequest| Plan::Unlimited);
    let limit = limit.by(key::header("X-User"));
    let app =
        init_service(App::new().service(web::resource("/").wrap(limit).to(async || "reached")))
            .await;
    assert_eq!(send(&app, from_client(1, preflight("/"))).await.status, 403);
    let by = |user| from_client(2, TestRequest::get().uri("/").insert_header(("X-User", user)));
    assert_eq!(send(&app, by("mallory")).await.status, 403);
    assert_eq!(send(&app, by("ann")).await.status, 200);
}

fn preflight(path: &str) -> TestRequest {
    TestRequest::with_uri(path)
        .method(Method::OPTIONS)
        .insert_header(("Origin", "https://shop.example"))
        .insert_header(("Access-Control-Request-Method", "PUT"))
}

#[actix_web::test]
async fn preflights_are_not_counted_unless_it_is_said_so() {
    let guard = RateGuard::in_memory();
    let limit = |name| RateLimit::new(&guard, "1/minute").name(name);
    let app = init_service(
        App::new().service(web::resource("/free").wrap(limit("free")).to(async || "ok")).service(
            web::resource("/counted").wrap(limit("counted").count_preflights()).to(async || "ok"),
        ),
    )
    .await;
    let ask = async |request| send(&app, from_client(1, request)).await.status;
    for _ in 0..3 {
        assert_eq!(ask(preflight("/free")).await, 200);
    }
    assert_eq!([ask(preflight("/counted")).await, ask(preflight("/counted")).await], [200, 429]);
    // Other requests are, also with that method.
    let options = || TestRequest::with_uri("/free").method(Method::OPTIONS);
    assert_eq!([ask(options()).await, ask(options()).await], [200, 429]);
    let half = options().insert_header(("Origin", "https://shop.example"));
    assert_eq!(ask(half).await, 429);
    let get =
        TestRequest::get().uri("/free").insert_header(("Access-Control-Request-Method", "GET"));
    assert_eq!(ask(get.insert_header(("Origin", "https://shop.example"))).await, 429);
}

#[actix_web::test]
async fn a_script_of_another_origin_can_read_a_refusal_and_its_numbers() {
    let guard = RateGuard::in_memory();
    // Also where the limit is around the middleware of CORS, its preflights pass.
    for is_outermost in [true, false] {
        let cors = || {
            Cors::default()
                .allowed_origin("https://shop.example")
                .allow_any_method()
                .expose_headers(guard.header_names())
        };
        let name = if is_outermost { "outermost" } else { "inside" };
        let limit = RateLimit::new(&guard, "1/minute").name(name);
        let ask = async |request| {
            let request = from_client(1, request);
            let app = App::new().route("/", web::put().to(async || "ok"));
            if is_outermost {
                send(&init_service(app.wrap(cors()).wrap(limit.clone())).await, request).await
            } else {
                send(&init_service(app.wrap(limit.clone()).wrap(cors())).await, request).await
            }
        };
        let put = || TestRequest::put().uri("/").insert_header(("Origin", "https://shop.example"));
        for _ in 0..3 {
            assert_eq!(ask(preflight("/")).await.status, 200);
        }
        assert_eq!(ask(put()).await.status, 200);
        let denied = ask(put()).await;
        assert_eq!((denied.status, denied.header("retry-after")), (429, Some("60")));
        if !is_outermost {
            assert_eq!(denied.header("access-control-allow-origin"), Some("https://shop.example"));
            let exposed = denied.header("access-control-expose-headers").unwrap().to_lowercase();
            for name in
                ["retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
            {
                assert!(exposed.contains(name), "{exposed}");
            }
        }
    }
}
