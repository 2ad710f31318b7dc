//! Tests different spellings of a path, and different methods. All requests that reach the same handler must have the
//! same bucket.

use std::collections::HashSet;

use actix_rateguard::{ClientAddress, Limit, RateGuard, RateLimit, key, rate_limit};
use actix_web::{
    App, HttpResponse,
    dev::HttpServiceFactory,
    get,
    http::{Method, Uri},
    middleware::{NormalizePath, TrailingSlash},
    routes,
    test::{TestRequest, init_service},
    web,
};

use crate::support::{
    app::{from_client, send},
    server::Server,
    wire::{self, WireResponse},
};

#[get("/api/login")]
#[rate_limit(rate = "1/day", key = "ip")]
async fn login() -> &'static str {
    "ok"
}

fn wrapped(guard: &RateGuard) -> impl HttpServiceFactory + use<> {
    let limit = RateLimit::new(guard, Limit::new("1/day").name("wrapped").key(key::ip()));
    web::resource("/api/logon").wrap(limit).to(async || "ok")
}

/// The last segments of the two tested paths. Both segments have the same length.
const SEGMENTS: [&str; 2] = ["login", "logon"];

/// Returns request targets that a server might handle in the same way as the path `/api/{segment}`.
fn spellings(segment: &str) -> Vec<String> {
    let (first, rest) = segment.split_at(1);
    let code = format!("{:02x}", first.as_bytes()[0]);
    let all: String = segment.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let (upper, title) = (segment.to_uppercase(), format!("{}{rest}", first.to_uppercase()));
    let mut spellings = vec![
        format!("/api/{upper}"),
        format!("/api/{title}"),
        format!("/API/{segment}"),
        format!("/Api/{segment}"),
        // Targets with percent encoding: single, double, of all characters, and with invalid UTF-8.
        format!("/api/%{code}{rest}"),
        format!("/api/%{}{rest}", code.to_uppercase()),
        format!("/api/{all}"),
        format!("/%61pi/{segment}"),
        format!("/%61%70%69/{all}"),
        format!("/api/%25{code}{rest}"),
        format!("/api/%2525{code}{rest}"),
        format!("/api%2F{segment}"),
        format!("/api%2f{segment}"),
        format!("/api%252F{segment}"),
        format!("/%2Fapi/{segment}"),
        format!("/api/{segment}%2F"),
        format!("/api/{segment}%2f%2e%2e%2f{segment}"),
        format!("/api/%5c{segment}"),
        format!("/api/{segment}%"),
        format!("/api/{segment}%zz"),
        format!("/api/{segment}%2"),
        format!("/api/{segment}%00"),
        format!("/api/{segment}%00.html"),
        format!("/api/{segment}%09"),
        format!("/api/{segment}%20"),
        format!("/api/%20{segment}"),
        format!("/api/{segment}%0A"),
        format!("/api/{segment}%0d%0aX:%20y"),
        format!("/api%C0%AF{segment}"),
        format!("/api/%C1%AC{rest}"),
        format!("/api/%EF%BD%8C{rest}"),
        format!("/api/{segment}%FF"),
        format!("/api/{segment}%E2%80%8B"),
        format!("/api/%u006c{rest}"),
        // Targets with additional slashes and dots.
        format!("//api/{segment}"),
        format!("/api//{segment}"),
        format!("/api///{segment}"),
        format!("/api/{segment}/"),
        format!("/api/{segment}//"),
        format!("///api///{segment}///"),
        format!("/api/./{segment}"),
        format!("/./api/{segment}"),
        format!("/api/{segment}/."),
        format!("/api/../api/{segment}"),
        format!("/../api/{segment}"),
        format!("/x/../api/{segment}"),
        format!("/api/{segment}/../{segment}"),
        format!("/api/{segment}/x/.."),
        format!("/api/%2e/{segment}"),
        format!("/api/%2e%2e/api/{segment}"),
        format!("/api/.%2E/api/{segment}"),
        format!("/api/..;/api/{segment}"),
        format!("/api/{segment}."),
        format!("/api/{segment}.json"),
        // Targets with parameters, queries and fragments.
        format!("/api/{segment};a=b"),
        format!("/api;a=b/{segment}"),
        format!("/api/;/{segment}"),
        format!("/api/{segment};"),
        format!("/api/{segment}?"),
        format!("/api/{segment}?x=1"),
        format!("/api/{segment}?x=1?y=2"),
        format!("/api/{segment}??"),
        format!("/api/{segment}?/../x"),
        format!("/api/{segment}?_method=PUT"),
        format!("/api/{segment}?{}", "x".repeat(10_000)),
        format!("/api/{segment}%3Fx=1"),
        format!("/api/{segment}%3fx"),
        format!("/api/{segment}%23"),
        format!("/api/{segment}%23x"),
        format!("/api/{segment}#"),
        format!("/api/{segment}#x"),
        format!("/api/{segment}&x=1"),
        format!("/api/{segment},"),
        // Targets that are not only a path, such as an absolute URI.
        format!("http://test/api/{segment}"),
        format!("HTTP://TEST:80/api/{segment}"),
        format!("https://user@other:1/api/{segment}?x=1"),
        format!("http://test//api/{segment}"),
        format!("ftp://test/api/{segment}"),
        format!("//test/api/{segment}"),
        format!("api/{segment}"),
        format!("test:80/api/{segment}"),
        "*".to_owned(),
        // Targets that a client library would not send.
        format!("/api\\{segment}"),
        format!("/api/{segment}\\"),
        format!("/api/\t{segment}"),
        format!("/api/{segment}\u{200b}"),
        format!("/api/\u{ff4c}{rest}"),
        format!("/api/{segment}\""),
        format!("/api/{segment}|"),
        format!("/api/{{{segment}}}"),
    ];
    spellings.insert(0, format!("/api/{segment}"));
    assert_eq!(spellings.iter().collect::<HashSet<_>>().len(), spellings.len());
    spellings
}

/// For each spelling, sends two pairs of requests: the plain path and then the spelling, and the spelling and then
/// the plain path. Returns how many spellings reached the handler.
///
/// Each pair of requests has a different client. `status_of` sends a request and returns its status, or `None` if
/// the target is not a valid URI.
async fn assert_one_bucket(status_of: impl AsyncFn(usize, &str) -> Option<u16>) -> usize {
    let mut reached = 0;
    let mut client = 0;
    for segment in SEGMENTS {
        let plain = format!("/api/{segment}");
        for spelling in spellings(segment) {
            client += 1;
            assert_eq!(status_of(client, &plain).await, Some(200), "{plain}");
            let after = status_of(client, &spelling).await;
            let is_not_routed = matches!(after, None | Some(400 | 404 | 405));
            assert!(is_not_routed || after == Some(429), "{spelling}: {after:?} after {plain}");

            client += 1;
            let before = status_of(client, &spelling).await;
            let expected = if is_not_routed { after } else { Some(200) };
            assert_eq!(before, expected, "{spelling}");
            let expected = if is_not_routed { 200 } else { 429 };
            assert_eq!(status_of(client, &plain).await, Some(expected), "{plain} after {spelling}");
            reached += usize::from(!is_not_routed);
        }
    }
    reached
}

fn client_address(client: usize) -> String {
    format!("198.51.{}.{}", client / 256, client % 256)
}

macro_rules! request_status {
    ($app:expr) => {
        async |client: usize, target: &str| {
            // This test has no connection, so it can send only targets that are valid URIs.
            let uri: Uri = target.parse().ok()?;
            let peer = format!("{}:40000", client_address(client)).parse().unwrap();
            let request = TestRequest::get().uri(&uri.to_string()).peer_addr(peer);
            Some(send(&$app, request).await.status)
        }
    };
}

#[actix_web::test]
async fn path_spellings_share_one_bucket_or_match_no_route() {
    let guard = RateGuard::in_memory();
    let app = app!(guard, login, wrapped(&guard));
    let reached = assert_one_bucket(request_status!(app)).await;
    assert!(reached >= 30, "{reached}");

    for (slash, min_reached) in [
        (TrailingSlash::Trim, 40),
        (TrailingSlash::MergeOnly, 40),
        // The routes have no trailing slash. With this setting, no spelling reaches the handler.
        (TrailingSlash::Always, 0),
    ] {
        let guard = RateGuard::in_memory();
        let app = init_service(
            App::new()
                .app_data(guard.clone())
                .service(login)
                .service(wrapped(&guard))
                .wrap(NormalizePath::new(slash)),
        )
        .await;
        if min_reached == 0 {
            let status_of = request_status!(app);
            for segment in SEGMENTS {
                for spelling in spellings(segment) {
                    let status = status_of(1, &spelling).await;
                    assert!(matches!(status, None | Some(404)), "{spelling}: {status:?}");
                }
            }
            continue;
        }
        let reached = assert_one_bucket(request_status!(app)).await;
        assert!(reached >= min_reached, "{slash:?}: {reached}");
    }
}

#[actix_web::test]
async fn middleware_around_an_application_counts_all_paths_together() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("1/day").key(key::ip()));
    let app = init_service(App::new().service(login).wrap(limit).wrap(NormalizePath::trim())).await;
    let status_of = request_status!(app);
    for (client, spelling) in spellings("login").iter().enumerate() {
        let first = status_of(client, spelling).await;
        assert_ne!(first, Some(429), "{spelling}");
        if first.is_some() {
            assert_eq!(status_of(client, "/api/login").await, Some(429), "{spelling}");
            assert_eq!(status_of(client, spelling).await, Some(429), "{spelling}");
        }
    }
}

#[actix_web::test]
async fn path_spellings_share_one_bucket_over_a_socket() {
    let rule = ClientAddress::behind(["127.0.0.1"]).unwrap();
    for is_normalized in [false, true] {
        let guard = RateGuard::builder().client_address(rule.clone()).build().unwrap();
        let server = Server::start(move |app| {
            app.app_data(guard.clone());
            if is_normalized {
                let scope = web::scope("").wrap(NormalizePath::trim());
                app.service(scope.service(login).service(wrapped(&guard)));
            } else {
                app.service(login).service(wrapped(&guard));
            }
        });
        let reached = assert_one_bucket(async |client, target| {
            let from = client_address(client);
            let head = format!(
                "GET {target} HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {from}\r\nConnection: close\r\n\r\n"
            );
            match wire::send(server.address(), head.as_bytes()) {
                WireResponse::Status(status) => Some(status),
                WireResponse::Closed => panic!("{target}: expected a status, found a closed connection"),
            }
        })
        .await;
        assert!(reached >= 30, "{reached}");
    }
}

#[rate_limit(rate = "1/day", key = "ip")]
async fn any_method() -> HttpResponse {
    HttpResponse::Ok().finish()
}

#[routes]
#[get("/routes")]
#[head("/routes")]
#[post("/routes")]
#[put("/routes")]
#[patch("/routes")]
#[delete("/routes")]
#[options("/routes")]
#[trace("/routes")]
#[rate_limit(rate = "1/day", key = "ip")]
async fn with_routes() -> HttpResponse {
    HttpResponse::Ok().finish()
}

#[actix_web::test]
async fn all_methods_share_one_bucket() {
    const METHODS: [&str; 14] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY",
        "PROPFIND", "get", "G", "GETGET",
    ];
    const OVERRIDES: [&str; 4] =
        ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Method"];

    for path in ["/middleware", "/attribute", "/routes"] {
        for one in METHODS {
            let guard = RateGuard::in_memory();
            let limit = RateLimit::new(&guard, Limit::new("1/day").key(key::ip()));
            let app = app!(
                guard,
                web::resource("/middleware").wrap(limit).to(HttpResponse::Ok),
                web::resource("/attribute").to(any_method),
                with_routes,
            );
            let request_with = async |method: &str| {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                from_client(1, TestRequest::with_uri(path).method(method))
            };
            let first = send(&app, request_with(one).await).await.status;
            if path == "/routes" && first != 200 {
                assert!(matches!(first, 404 | 405), "{one} {path}: {first}");
                continue;
            }
            assert_eq!(first, 200, "{one} {path}");
            for other in METHODS {
                let mut requests = vec![request_with(other).await];
                for header in OVERRIDES {
                    requests.push(request_with(other).await.insert_header((header, "DELETE")));
                    requests.push(request_with(other).await.insert_header((header, "OPTIONS")));
                }
                for request in requests {
                    let status = send(&app, request).await.status;
                    let is_not_routed = path == "/routes" && matches!(status, 404 | 405);
                    assert!(is_not_routed || status == 429, "{one}, {other} {path}: {status}");
                }
            }
        }
    }
}
