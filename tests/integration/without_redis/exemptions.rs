//! Tests exemptions and denials that do not depend on counts: skip functions, methods, and access lists.

use std::net::SocketAddr;

use actix_rateguard::{
    AccessList, ClientAddress, Limit, Plan, RateGuard, RateLimit, client_address::StopReason, key,
    rate_limit,
};
use actix_web::{
    App, HttpRequest, Responder, get,
    http::Method,
    route,
    test::{TestRequest, init_service},
    web,
};

use crate::support::{
    app::{from_client, send, statuses},
    log_lines,
};

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
async fn skipped_requests_are_not_counted_and_get_no_headers() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("1/minute").skip(is_health_check));
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
            let response = send(&app, from_client(1, request)).await;
            assert_eq!((response.status, response.numbers()), (200, None), "{path}");
        }
        assert_eq!(statuses(&app, 1, path, 2).await, [200, 429], "{path}");
    }
}

#[actix_web::test]
async fn only_configured_methods_are_limited_with_one_count() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("1/minute").methods([Method::POST, Method::PUT]));
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(methods)
            .service(web::resource("/middleware").wrap(limit).to(async || "ok")),
    )
    .await;
    for path in ["/methods", "/middleware"] {
        let status_of = async |method| {
            let request = TestRequest::with_uri(path).method(method);
            // The routes and the limits must ignore this header. They must use the real method of the request.
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
            assert_eq!(status_of(method.clone()).await, status, "{path} {method}");
        }
    }
}

#[rate_limit(rate = "1/minute", methods = "GET", name = "get-only")]
#[route("/get-only", method = "GET", method = "HEAD", method = "POST")]
async fn get_only() -> impl Responder {
    "ok"
}

#[rate_limit(rate = "1/minute", methods = "HEAD", name = "head-only")]
#[route("/head-only", method = "GET", method = "HEAD", method = "POST")]
async fn head_only() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn get_includes_head_and_head_does_not_include_get() {
    let guard = RateGuard::in_memory();
    let limit =
        |name, method| RateLimit::new(&guard, Limit::new("1/minute").name(name).methods([method]));
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service((get_only, head_only))
            .service(web::resource("/get").wrap(limit("get", Method::GET)).to(async || "ok"))
            .service(web::resource("/head").wrap(limit("head", Method::HEAD)).to(async || "ok")),
    )
    .await;
    for (path, expected) in [
        ("/get-only", [200, 429, 429, 200]),
        ("/get", [200, 429, 429, 200]),
        ("/head-only", [200, 429, 200, 200]),
        ("/head", [200, 429, 200, 200]),
    ] {
        let mut statuses = Vec::new();
        for method in [Method::HEAD, Method::HEAD, Method::GET, Method::POST] {
            let request = TestRequest::with_uri(path).method(method);
            statuses.push(send(&app, from_client(1, request)).await.status);
        }
        assert_eq!(statuses, expected, "{path}");
    }
}

fn get_from(address: &str, path: &str) -> TestRequest {
    TestRequest::get().uri(path).peer_addr(SocketAddr::new(address.parse().unwrap(), 1))
}

#[actix_web::test]
async fn access_list_exempts_or_rejects_addresses() {
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
            let mut received = Vec::new();
            for _ in 0..2 {
                let response = send(&app, get_from(address, path)).await;
                assert_eq!(
                    response.numbers().is_some(),
                    address == "192.0.2.1",
                    "{path} {address}"
                );
                received.push(response.status);
            }
            assert_eq!(received, expected, "{path} {address}");
        }
    }
}

#[actix_web::test]
async fn access_list_matches_clients_behind_a_proxy() {
    let rule = ClientAddress::behind(["192.0.2.0/24"]).unwrap();
    let list = AccessList::new().deny_addresses(["203.0.113.0/24"]).unwrap();
    let guard = RateGuard::builder().client_address(rule).access(list).build().unwrap();
    let app = init_service(App::new().app_data(guard).service(listed)).await;
    for (peer, claim, status) in [
        ("192.0.2.1", "203.0.113.9", 403),
        ("192.0.2.1", "198.51.100.9", 200),
        // The peer is not a trusted proxy, so the guard must ignore the header that the peer sends.
        ("203.0.113.9", "198.51.100.9", 403),
        ("198.51.100.8", "203.0.113.9", 200),
    ] {
        let request = get_from(peer, "/listed").insert_header(("X-Forwarded-For", claim));
        assert_eq!(send(&app, request).await.status, status, "{peer} {claim}");
    }
}

#[get("/by-address")]
#[rate_limit(rate = "1/minute", key = "ip", name = "by-address")]
async fn by_address() -> impl Responder {
    "ok"
}

/// For each value of `X-Forwarded-For`, sends two requests through a proxy. Returns the statuses of the two requests,
/// and the outcome that the explanation reports.
///
/// Each value is tested with a new application, so the requests with different values are not counted together.
async fn send_behind_proxy(list: &AccessList, forwarded: &[&str]) -> Vec<([u16; 2], String)> {
    let mut results = Vec::new();
    for forwarded in forwarded {
        let rule = ClientAddress::behind(["10.0.0.0/8"]).unwrap();
        let guard = RateGuard::builder().client_address(rule).access(list.clone()).build().unwrap();
        let app =
            init_service(App::new().app_data(guard.clone()).service((listed, by_address))).await;
        let request = || {
            let request = get_from("10.0.0.1", "/by-address");
            match *forwarded {
                "" => request,
                text => request.insert_header(("X-Forwarded-For", text)),
            }
        };
        let statuses = [send(&app, request()).await.status, send(&app, request()).await.status];
        let explanation =
            guard.explain_request(&request().to_http_request(), &["by-address"]).await;
        let outcome = &explanation.limits()[0].outcome;
        results.push((statuses, outcome.to_string()));
    }
    results
}

/// Values of `X-Forwarded-For` that contain no client address which a guard could use.
const NO_CLIENT: [&str; 7] = [
    "",
    "unknown",
    "_hidden",
    "198.51.100.1, unknown",
    "198.51.100.1, garbage, 10.0.0.2",
    "10.0.0.2",
    ",",
];

#[actix_web::test]
async fn allowed_address_does_not_exempt_a_proxy_without_client() {
    let by_network = AccessList::new().allow_addresses(["10.0.0.0/8"]).unwrap();
    let by_key = AccessList::new()
        .allow_keys(key::ip().key_of("10.0.0.1"))
        .allow_keys(key::ip().key_of("10.0.0.2"));
    for list in [by_network, by_key] {
        for ((statuses, outcome), forwarded) in
            send_behind_proxy(&list, &NO_CLIENT).await.into_iter().zip(NO_CLIENT)
        {
            assert_eq!(statuses, [200, 429], "{forwarded:?}");
            assert!(outcome.starts_with("denied"), "{forwarded:?}: {outcome}");
        }
    }
    // These headers contain a client address that the guard can use. Therefore an access list can allow the address.
    let list = AccessList::new().allow_addresses(["10.0.0.0/8", "198.51.100.0/24"]).unwrap();
    for (statuses, outcome) in
        send_behind_proxy(&list, &["198.51.100.1", "unknown, 198.51.100.1, 10.0.0.2"]).await
    {
        assert_eq!(statuses, [200, 200]);
        assert!(outcome.contains("an access list allows the address"), "{outcome}");
    }
}

#[actix_web::test]
async fn denied_address_rejects_a_proxy_without_client() {
    let list = AccessList::new()
        .allow_addresses(["10.0.0.0/8"])
        .and_then(|list| list.deny_addresses(["10.0.0.0/30"]))
        .unwrap();
    for (statuses, outcome) in send_behind_proxy(&list, &NO_CLIENT).await {
        assert_eq!(statuses, [403, 403]);
        assert!(outcome.contains("an access list denies the address"), "{outcome}");
    }
}

#[actix_web::test]
async fn explanation_reports_a_proxy_as_the_client() {
    let rule = ClientAddress::behind(["10.0.0.0/8"]).unwrap();
    let guard = RateGuard::builder().client_address(rule).build().unwrap();
    let explain = async |forwarded: &str| {
        let request = get_from("10.0.0.1", "/").insert_header(("X-Forwarded-For", forwarded));
        let client = guard.explain_request(&request.to_http_request(), &[]).await;
        (client.client().is_proxy, client.client().end, client.to_string())
    };
    let (is_proxy, end, text) = explain("198.51.100.1, unknown").await;
    assert_eq!((is_proxy, end), (true, StopReason::NotAnAddress));
    assert!(text.contains("allowed by no access list"), "{text}");
    let (is_proxy, end, text) =
        explain(&format!("198.51.100.1, {}10.0.0.3", "10.0.0.2, ".repeat(500))).await;
    assert_eq!((is_proxy, end), (true, StopReason::TooLong));
    assert!(text.contains("longer than the part that is read"), "{text}");
    let (is_proxy, end, text) = explain("198.51.100.1").await;
    assert_eq!((is_proxy, end), (false, StopReason::HopIsNoProxy));
    assert!(!text.contains("allowed by no access list"), "{text}");
}

#[actix_web::test]
async fn ineffective_allowed_address_is_logged() {
    log_lines::collect();
    let build = |proxies: &str, allowed: &str| {
        let rule = ClientAddress::behind([proxies]).unwrap();
        let list = AccessList::new().allow_addresses([allowed]).unwrap();
        RateGuard::builder().client_address(rule).access(list).build().unwrap();
        log_lines::with(&format!("`{allowed}` is allowed by an access list"))
    };
    assert_eq!(build("10.64.0.0/16", "10.64.1.0/24").len(), 1);
    assert_eq!(build("10.65.1.0/24", "10.65.0.0/16").len(), 0);
}

#[actix_web::test]
async fn ipv4_access_lists_match_nat64_6to4_and_teredo_clients() {
    let list = AccessList::new()
        .allow_addresses(["192.0.2.0/24"])
        .and_then(|list| list.deny_addresses(["203.0.113.0/24"]))
        .unwrap()
        .allow_keys(key::ip().key_of("198.51.100.7"))
        .deny_keys(key::ip().key_of("198.51.100.8"));
    for (address, expected) in [
        ("64:ff9b::192.0.2.7", [200, 200]),
        ("64:ff9b:1:2::192.0.2.7", [200, 200]),
        ("64:ff9b::203.0.113.7", [403, 403]),
        ("64:ff9b::198.51.100.7", [200, 200]),
        ("64:ff9b::198.51.100.8", [403, 403]),
        ("64:ff9b::198.51.100.9", [200, 429]),
        // A 6to4 address or a Teredo address contains an IPv4 address. If the list denies the IPv4 address, it must
        // also deny the client. If the list allows the IPv4 address, it must not allow the client.
        ("2002:c000:207::1", [200, 429]),
        ("2002:cb00:7107::1", [403, 403]),
        ("2002:c633:6407::1", [200, 429]),
        ("2002:c633:6408::1", [403, 403]),
        // In a Teredo address, all bits of the IPv4 address are inverted. These two addresses contain 192.0.2.7 and
        // 203.0.113.7.
        ("2001:0:1:2:3:4:3fff:fdf8", [200, 429]),
        ("2001:0:1:2:3:4:34ff:8ef8", [403, 403]),
    ] {
        let guard = RateGuard::builder().access(list.clone()).build().unwrap();
        let app = init_service(App::new().app_data(guard.clone()).service(by_address)).await;
        let request = || get_from(address, "/by-address");
        let statuses = [send(&app, request()).await.status, send(&app, request()).await.status];
        assert_eq!(statuses, expected, "{address}");
        let explanation =
            guard.explain_request(&request().to_http_request(), &["by-address"]).await;
        let passes = explanation.limits()[0].outcome.passes();
        assert_eq!(passes, Some(expected[1] == 200), "{address}");
    }
}

#[actix_web::test]
async fn access_list_of_the_guard_overrides_that_of_a_middleware() {
    let denied = AccessList::new().deny_addresses(["192.0.2.1"]).unwrap();
    let allowed = AccessList::new().allow_addresses(["192.0.2.0/24"]).unwrap();
    let guard = RateGuard::builder().access(denied).build().unwrap();
    let limit = RateLimit::new(&guard, "1/minute").access(allowed);
    let app = init_service(App::new().wrap(limit).route("/", web::get().to(async || "ok"))).await;
    assert_eq!(statuses(&app, 1, "/", 2).await, [403, 403]);
    assert_eq!(statuses(&app, 2, "/", 3).await, [200, 200, 200]);
}

#[actix_web::test]
async fn access_list_exempts_or_rejects_keys() {
    let user = |user: &str| key::header("X-User").key_of(user);
    let list = AccessList::new().allow_keys(user("monitor")).deny_keys(user("mallory"));
    let guard = RateGuard::builder().access(list.clone()).build().unwrap();
    let other = RateGuard::in_memory();
    let limit =
        RateLimit::new(&other, Limit::new("1/minute").key(key::header("X-User"))).access(list);
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
            let mut received = Vec::new();
            for _ in 0..2 {
                let request = get_from("192.0.2.1", path).insert_header(("X-User", user));
                received.push(send(&app, request).await.status);
            }
            assert_eq!(received, expected, "{path} {user:?}");
        }
    }
}

#[actix_web::test]
async fn access_list_denial_overrides_exemptions() {
    let list = AccessList::new()
        .deny_addresses(["192.0.2.1"])
        .unwrap()
        .deny_keys(key::header("X-User").key_of("mallory"));
    let guard = RateGuard::builder().access(list).build().unwrap();
    let limit = Limit::plan(|_: &HttpRequest| Plan::Unlimited).key(key::header("X-User"));
    let limit = RateLimit::new(&guard, limit);
    let app =
        init_service(App::new().service(web::resource("/").wrap(limit).to(async || "ok"))).await;
    let preflight = TestRequest::with_uri("/")
        .method(Method::OPTIONS)
        .insert_header(("Origin", "https://shop.example"))
        .insert_header(("Access-Control-Request-Method", "PUT"));
    assert_eq!(send(&app, from_client(1, preflight)).await.status, 403);
    let request_by =
        |user| from_client(2, TestRequest::get().uri("/").insert_header(("X-User", user)));
    assert_eq!(send(&app, request_by("mallory")).await.status, 403);
    assert_eq!(send(&app, request_by("ann")).await.status, 200);
}
