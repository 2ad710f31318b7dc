//! Tests the built-in keys and key functions: which requests have the same bucket, and which requests have different
//! buckets.

use std::net::SocketAddr;

use actix_rateguard::{Key, Limit, RateGuard, RateLimit, UserId, key, rate_limit};
use actix_web::{
    App, Error, HttpMessage, HttpRequest, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get,
    middleware::{Next, from_fn},
    test::{TestRequest, init_service},
    web,
};

use crate::support::app::{from_client, send};

macro_rules! handlers {
    ($($name:ident $path:literal $key:expr;)*) => {$(
        #[get($path)]
        #[rate_limit(rate = "1/minute", key = $key)]
        async fn $name() -> impl Responder {
            "ok"
        }
    )*};
}

handlers! {
    by_ip "/ip" "ip";
    by_user "/user" "user";
    by_header "/header" "header:X-Api-Key";
    by_cookie "/cookie" "cookie:session";
    by_path "/path/{tenant}" "path:tenant";
    by_global "/global" "global";
    by_function "/function" tenant_of;
    by_path_of_function "/function-path" crate::without_redis::keys::tenant_of;
    by_closure "/closure" |req: &HttpRequest| tenant_of(req);
    by_borrowing_closure "/borrowing" |req| req.headers().get("X-Tenant").and_then(|it| it.to_str().ok());
    by_number "/number" |_| 7_u64;
    by_number_or_text "/number-or-text" |req: &HttpRequest| match tenant_of(req) {
        Some(tenant) => Key::from(tenant),
        None => Key::from(7_u64),
    };
    by_parts "/parts" |req: &HttpRequest| Key::from_parts([req.path(), "x"]);
}

fn tenant_of(request: &HttpRequest) -> Option<String> {
    Some(request.headers().get("X-Tenant")?.to_str().ok()?.to_owned())
}

/// Simulates the middleware with which an application authenticates its users.
async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let user = request.headers().get("X-User").map(|it| it.to_str().unwrap().to_owned());
    if let Some(user) = user {
        request.extensions_mut().insert(UserId::new(user));
    }
    next.call(request).await
}

/// Returns whether two requests have the same bucket. Both requests are sent to one new application, which has all
/// handlers of this file.
async fn share_bucket(one: TestRequest, other: TestRequest) -> bool {
    let app = init_service(
        App::new()
            .app_data(RateGuard::in_memory())
            .wrap(from_fn(authenticate))
            .service((by_ip, by_user, by_header, by_cookie, by_path, by_global))
            .service((by_function, by_path_of_function, by_closure, by_borrowing_closure))
            .service((by_number, by_number_or_text, by_parts)),
    )
    .await;
    assert_eq!(send(&app, one).await.status, 200);
    match send(&app, other).await.status {
        200 => false,
        429 => true,
        status => panic!("{status}"),
    }
}

fn get_request(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

fn get_from(address: &str, path: &str) -> TestRequest {
    get_request(path).peer_addr(SocketAddr::new(address.parse().unwrap(), 1))
}

#[actix_web::test]
async fn ip_key_ignores_address_headers_without_trusted_proxies() {
    let headers =
        ["X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"];
    for header in headers {
        let claim = |value| get_from("192.0.2.1", "/ip").insert_header((header, value));
        assert!(share_bucket(claim("198.51.100.1"), claim("198.51.100.2")).await, "{header}");
        assert!(
            share_bucket(claim("for=198.51.100.1"), claim("for=198.51.100.2")).await,
            "{header}"
        );
    }
    assert!(!share_bucket(get_from("192.0.2.1", "/ip"), get_from("192.0.2.2", "/ip")).await);
}

#[actix_web::test]
async fn ip_key_groups_ipv6_networks_and_unmaps_ipv4() {
    for (one, other, is_shared) in [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
        ("::ffff:192.0.2.1", "192.0.2.1", true),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
    ] {
        assert_eq!(
            share_bucket(get_from(one, "/ip"), get_from(other, "/ip")).await,
            is_shared,
            "{one} {other}"
        );
    }
}

#[actix_web::test]
async fn ip_key_ignores_the_port() {
    let port = |port| get_request("/ip").peer_addr(SocketAddr::from(([192, 0, 2, 1], port)));
    assert!(share_bucket(port(1_000), port(2_000)).await);
}

#[actix_web::test]
async fn clients_without_an_address_share_one_bucket() {
    assert!(share_bucket(get_request("/ip"), get_request("/ip")).await);
}

#[actix_web::test]
async fn each_key_type_separates_its_values() {
    let headers = |path: &'static str, header: &'static str| {
        move |client: u8, value: &'static str| {
            from_client(client, get_request(path).insert_header((header, value)))
        }
    };
    for (path, header, one, other) in [
        ("/user", "X-User", "ann", "bob"),
        ("/header", "X-Api-Key", "one", "other"),
        ("/cookie", "Cookie", "session=one", "session=other"),
        ("/function", "X-Tenant", "one", "other"),
        ("/function-path", "X-Tenant", "one", "other"),
        ("/closure", "X-Tenant", "one", "other"),
        ("/borrowing", "X-Tenant", "one", "other"),
    ] {
        let request = headers(path, header);
        assert!(share_bucket(request(1, one), request(2, one)).await, "{path}");
        assert!(!share_bucket(request(1, one), request(1, other)).await, "{path}");
    }
    assert!(
        share_bucket(
            from_client(1, get_request("/path/one")),
            from_client(2, get_request("/path/one"))
        )
        .await
    );
    assert!(
        !share_bucket(
            from_client(1, get_request("/path/one")),
            from_client(1, get_request("/path/other"))
        )
        .await
    );
    for path in ["/global", "/number", "/parts"] {
        assert!(
            share_bucket(from_client(1, get_request(path)), from_client(2, get_request(path)))
                .await,
            "{path}"
        );
    }
}

#[actix_web::test]
async fn number_and_its_text_have_separate_buckets() {
    let number = || from_client(1, get_request("/number-or-text"));
    let text = || number().insert_header(("X-Tenant", "7"));
    assert!(share_bucket(number(), number()).await);
    assert!(share_bucket(text(), text()).await);
    assert!(!share_bucket(number(), text()).await);
}

#[actix_web::test]
async fn missing_key_has_a_separate_bucket_by_address() {
    for (path, header, value) in [
        ("/user", "X-User", "192.0.2.1"),
        ("/header", "X-Api-Key", "192.0.2.1"),
        ("/cookie", "Cookie", "session=192.0.2.1"),
        ("/function", "X-Tenant", "192.0.2.1"),
    ] {
        let without_key = |client| from_client(client, get_request(path));
        assert!(share_bucket(without_key(1), without_key(1)).await, "{path}");
        assert!(!share_bucket(without_key(1), without_key(2)).await, "{path}");
        assert!(
            !share_bucket(without_key(1), without_key(1).insert_header((header, value))).await,
            "{path}"
        );
    }
}

#[actix_web::test]
async fn header_key_ignores_empty_values_and_takes_the_first() {
    let with_key =
        |value| from_client(1, get_request("/header").insert_header(("X-Api-Key", value)));
    assert!(share_bucket(with_key(""), from_client(1, get_request("/header"))).await);
    let with_two_keys = |second| with_key("a").append_header(("X-Api-Key", second));
    assert!(share_bucket(with_two_keys("b"), with_two_keys("c")).await);
    assert!(share_bucket(with_key("a"), with_two_keys("a")).await);
}

#[actix_web::test]
async fn all_spellings_of_a_route_parameter_share_one_bucket() {
    for (one, other, is_shared) in [
        ("a+b", "a%2Bb", true),
        ("a%2Bb", "a%2bb", true),
        ("a%2Fb", "a%2fb", true),
        ("%61b", "ab", true),
        ("a%252Bb", "a%2Bb", false),
    ] {
        let path = |value| from_client(1, get_request("/path/{}").uri(&format!("/path/{value}")));
        assert_eq!(share_bucket(path(one), path(other)).await, is_shared, "{one} {other}");
    }
}

#[actix_web::test]
async fn hostile_header_values_have_separate_buckets() {
    let long = "x".repeat(100_000);
    let with_key =
        |value: &[u8]| from_client(1, get_request("/header").insert_header(("X-Api-Key", value)));
    for value in [&b"\x80\xff\xfe"[..], b"a:b", b"{tag}", b"%00", long.as_bytes()] {
        assert!(share_bucket(with_key(value), with_key(value)).await);
        assert!(!share_bucket(with_key(value), with_key(b"other")).await);
    }
}

#[actix_web::test]
async fn middleware_supports_the_same_keys() {
    let guard = RateGuard::in_memory();
    let limit = |name, by: key::BuiltinKey| {
        RateLimit::new(&guard, Limit::new("1/minute").name(name).key(by))
    };
    let ok = || web::get().to(async || "ok");
    let app = init_service(
        App::new()
            .service(web::resource("/ip").wrap(limit("ip", key::ip())).route(ok()))
            .service(web::resource("/user").wrap(limit("user", key::user())).route(ok()))
            .service(
                web::resource("/header")
                    .wrap(limit("header", key::header("X-Api-Key")))
                    .route(ok()),
            )
            .service(
                web::resource("/cookie").wrap(limit("cookie", key::cookie("session"))).route(ok()),
            )
            .service(
                web::resource("/path/{tenant}")
                    .wrap(limit("path", key::path("tenant")))
                    .route(ok()),
            )
            .service(web::resource("/global").wrap(limit("global", key::global())).route(ok()))
            .service(
                web::resource("/closure")
                    .wrap(RateLimit::new(
                        &guard,
                        Limit::new("1/minute").name("closure").key(tenant_of),
                    ))
                    .route(ok()),
            )
            .wrap(from_fn(authenticate)),
    )
    .await;
    for (path, header, one, other) in [
        ("/user", "X-User", "ann", "bob"),
        ("/header", "X-Api-Key", "one", "other"),
        ("/cookie", "Cookie", "session=one", "session=other"),
        ("/closure", "X-Tenant", "one", "other"),
    ] {
        for (client, value, status) in [(1, one, 200), (2, one, 429), (1, other, 200)] {
            let request = from_client(client, get_request(path).insert_header((header, value)));
            assert_eq!(send(&app, request).await.status, status, "{path} {value}");
        }
    }
    for (client, path, status) in [
        (1, "/ip", 200),
        (1, "/ip", 429),
        (2, "/ip", 200),
        (1, "/path/one", 200),
        (2, "/path/one", 429),
        (2, "/path/other", 200),
        (1, "/global", 200),
        (2, "/global", 429),
    ] {
        assert_eq!(
            send(&app, from_client(client, get_request(path))).await.status,
            status,
            "{client} {path}"
        );
    }
}

#[test]
#[should_panic(expected = "found `header:X Api`")]
fn invalid_header_name_of_a_key_panics() {
    let _ = key::header("X Api");
}
