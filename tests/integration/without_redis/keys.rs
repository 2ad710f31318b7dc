//! Who is counted together.

use std::net::SocketAddr;

use actix_web::{
    App, Error, HttpMessage, HttpRequest, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get,
    middleware::{Next, from_fn},
    test::{TestRequest, init_service},
    web,
};
use rateguard::{Key, RateGuard, RateLimit, UserId, key, rate_limit};

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
    by_nobody "/global" "global";
    by_function "/function" tenant_of;
    by_path_of_function "/function-path" crate::without_redis::keys::tenant_of;
    by_closure "/closure" |req: &HttpRequest| tenant_of(req);
    by_borrowing_closure "/borrowing" |req| req.headers().get("X-Tenant").and_then(|it| it.to_str().ok());
    by_number "/number" |_| 7_u64;
    by_parts "/parts" |req: &HttpRequest| Key::from_parts([req.path(), "x"]);
}

fn tenant_of(request: &HttpRequest) -> Option<String> {
    Some(request.headers().get("X-Tenant")?.to_str().ok()?.to_owned())
}

/// Stands for an application's authentication.
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

/// Whether the second of two requests is refused, on an application with all these handlers.
async fn share(one: TestRequest, other: TestRequest) -> bool {
    let app = init_service(
        App::new()
            .app_data(RateGuard::in_memory())
            .wrap(from_fn(authenticate))
            .service((by_ip, by_user, by_header, by_cookie, by_path, by_nobody))
            .service((by_function, by_path_of_function, by_closure, by_borrowing_closure))
            .service((by_number, by_parts)),
    )
    .await;
    assert_eq!(send(&app, one).await.status, 200);
    match send(&app, other).await.status {
        200 => false,
        429 => true,
        status => panic!("{status}"),
    }
}

fn at(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

fn from(address: &str, path: &str) -> TestRequest {
    at(path).peer_addr(SocketAddr::new(address.parse().unwrap(), 1))
}

#[actix_web::test]
async fn an_address_is_the_tcp_peer_whatever_headers_claim() {
    let claims =
        ["X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"];
    for header in claims {
        let claim = |value| from("192.0.2.1", "/ip").insert_header((header, value));
        assert!(share(claim("198.51.100.1"), claim("198.51.100.2")).await, "{header}");
        assert!(share(claim("for=198.51.100.1"), claim("for=198.51.100.2")).await, "{header}");
    }
    assert!(!share(from("192.0.2.1", "/ip"), from("192.0.2.2", "/ip")).await);
}

#[actix_web::test]
async fn an_ipv6_network_is_one_client_and_a_mapped_address_is_ipv4() {
    for (one, other, together) in [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
        ("::ffff:192.0.2.1", "192.0.2.1", true),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
    ] {
        assert_eq!(share(from(one, "/ip"), from(other, "/ip")).await, together, "{one} {other}");
    }
}

#[actix_web::test]
async fn the_port_of_a_client_does_not_matter() {
    let port = |port| at("/ip").peer_addr(SocketAddr::from(([192, 0, 2, 1], port)));
    assert!(share(port(1_000), port(2_000)).await);
}

#[actix_web::test]
async fn clients_without_an_address_are_limited_together() {
    assert!(share(at("/ip"), at("/ip")).await);
}

#[actix_web::test]
async fn each_key_tells_its_callers_apart() {
    let headers = |path: &'static str, header: &'static str| {
        move |client: u8, value: &'static str| {
            from_client(client, at(path).insert_header((header, value)))
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
        assert!(share(request(1, one), request(2, one)).await, "{path}");
        assert!(!share(request(1, one), request(1, other)).await, "{path}");
    }
    assert!(share(from_client(1, at("/path/one")), from_client(2, at("/path/one"))).await);
    assert!(!share(from_client(1, at("/path/one")), from_client(1, at("/path/other"))).await);
    for path in ["/global", "/number", "/parts"] {
        assert!(share(from_client(1, at(path)), from_client(2, at(path))).await, "{path}");
    }
}

#[actix_web::test]
async fn who_has_no_key_is_limited_by_address_apart_from_those_who_have_one() {
    for (path, header, value) in [
        ("/user", "X-User", "192.0.2.1"),
        ("/header", "X-Api-Key", "192.0.2.1"),
        ("/cookie", "Cookie", "session=192.0.2.1"),
        ("/function", "X-Tenant", "192.0.2.1"),
    ] {
        let without = |client| from_client(client, at(path));
        assert!(share(without(1), without(1)).await, "{path}");
        assert!(!share(without(1), without(2)).await, "{path}");
        assert!(!share(without(1), without(1).insert_header((header, value))).await, "{path}");
    }
}

#[actix_web::test]
async fn a_header_that_is_empty_is_no_key_and_of_several_the_first_is() {
    let keyed = |value| from_client(1, at("/header").insert_header(("X-Api-Key", value)));
    assert!(share(keyed(""), from_client(1, at("/header"))).await);
    let twice = |second| keyed("a").append_header(("X-Api-Key", second));
    assert!(share(twice("b"), twice("c")).await);
    assert!(share(keyed("a"), twice("a")).await);
}

#[actix_web::test]
async fn all_spellings_of_a_route_parameter_are_one_key() {
    for (one, other, together) in [
        ("a+b", "a%2Bb", true),
        ("a%2Bb", "a%2bb", true),
        ("a%2Fb", "a%2fb", true),
        ("%61b", "ab", true),
        ("a%252Bb", "a%2Bb", false),
    ] {
        let path = |value| from_client(1, at("/path/{}").uri(&format!("/path/{value}")));
        assert_eq!(share(path(one), path(other)).await, together, "{one} {other}");
    }
}

#[actix_web::test]
async fn hostile_header_values_are_keys_like_any_other() {
    let long = "x".repeat(100_000);
    let keyed = |value: &[u8]| from_client(1, at("/header").insert_header(("X-Api-Key", value)));
    for value in [&b"\x80\xff\xfe"[..], b"a:b", b"{tag}", b"%00", long.as_bytes()] {
        assert!(share(keyed(value), keyed(value)).await);
        assert!(!share(keyed(value), keyed(b"other")).await);
    }
}

#[actix_web::test]
async fn the_middleware_knows_the_same_keys() {
    let guard = RateGuard::in_memory();
    let limit = |name, by: key::ReadyMade| RateLimit::new(&guard, "1/minute").name(name).by(by);
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
                    .wrap(RateLimit::new(&guard, "1/minute").name("closure").by(tenant_of))
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
            let request = from_client(client, at(path).insert_header((header, value)));
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
            send(&app, from_client(client, at(path))).await.status,
            status,
            "{client} {path}"
        );
    }
}

#[test]
#[should_panic(expected = "`header:X Api` does not name a header")]
fn a_header_that_cannot_be_is_found_where_the_key_is_made() {
    let _ = key::header("X Api");
}
