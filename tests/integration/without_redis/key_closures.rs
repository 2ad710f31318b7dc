//! Tests key functions and key types: asynchronous key functions, key functions that fail, requests without a key, and
//! keys with several parts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use actix_rateguard::{
    Caller, ClientAddress, Key, Limit, MemoryStore, MissingKey, Policy, RateGuard, RateLimit,
    UserId, key, rate_limit,
};
use actix_web::{
    App, Error, HttpMessage, HttpRequest, Responder,
    dev::Service,
    error::ErrorUnauthorized,
    get,
    test::{TestRequest, init_service},
    web,
};

use crate::support::app::{from_client, send};

macro_rules! handlers {
    ($($name:ident $path:literal ($($argument:tt)*);)*) => {$(
        #[get($path)]
        #[rate_limit(rate = "1/minute", $($argument)*)]
        async fn $name() -> impl Responder {
            "ok"
        }
    )*};
}

handlers! {
    by_async_function "/async-function" (key = user_from_database);
    by_async_closure "/async-closure" (key = async |req: &HttpRequest| user_from_database(req).await);
    by_untyped_async "/untyped-async" (key = async |req| user_from_database(req).await);
    by_failing "/failing" (key = user_or_error);
    by_failing_async "/failing-async" (key = async |req: &HttpRequest| user_or_error(req));
    by_caller "/caller" (key = caller_of);
    by_two "/two/{tenant}" (key = "header:X-User+path:tenant");
    by_tuple "/tuple" (key = |req: &HttpRequest| (header(req, "X-User"), header(req, "X-Tenant")));
    by_bearer "/bearer" (key = "bearer");
    missing_denied "/missing-denied" (key = "header:X-User", missing_key = "deny");
    missing_skipped "/missing-skipped" (key = "header:X-User", missing_key = "skip");
    missing_by_address "/missing-by-address" (key = "header:X-User", missing_key = "ip");
}

fn header(request: &HttpRequest, name: &str) -> String {
    request.headers().get(name).map_or(String::new(), |it| it.to_str().unwrap().to_owned())
}

/// Simulates a database query that returns the user of a request.
async fn user_from_database(request: &HttpRequest) -> Option<String> {
    actix_web::rt::task::yield_now().await;
    Some(header(request, "X-User")).filter(|user| !user.is_empty())
}

fn user_or_error(request: &HttpRequest) -> Result<Option<String>, Error> {
    match &*header(request, "X-User") {
        "invalid" => Err(ErrorUnauthorized("invalid user")),
        "" => Ok(None),
        user => Ok(Some(user.to_owned())),
    }
}

fn caller_of(request: &HttpRequest) -> Caller {
    match &*header(request, "X-User") {
        "internal" => Caller::Exempt,
        "" => Caller::Unknown,
        user => Caller::Known(Key::from(user)),
    }
}

/// Creates an application with all handlers of this file. Below the path `/middleware`, middleware uses the same keys
/// as the attributes of the handlers.
macro_rules! application {
    () => {{
        let guard = RateGuard::in_memory();
        let limit = |name| Limit::new("1/minute").name(name);
        let limited = |limit| RateLimit::new(&guard, limit);
        let ok = || web::get().to(async || "ok");
        let user = key::header("X-User");
        init_service(
            App::new()
                .app_data(guard.clone())
                .service((by_async_function, by_async_closure, by_untyped_async, by_failing))
                .service((by_failing_async, by_caller, by_two, by_tuple, by_bearer))
                .service((missing_denied, missing_skipped, missing_by_address))
                .service(
                    web::scope("/middleware")
                        .service(
                            web::resource("/async-function")
                                .wrap(limited(limit("1").key(user_from_database)))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/async-closure")
                                .wrap(limited(limit("2").key(async |request: &HttpRequest| {
                                    user_from_database(request).await
                                })))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/failing")
                                .wrap(limited(limit("3").key(user_or_error)))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/failing-async")
                                .wrap(limited(
                                    limit("4")
                                        .key(async |request: &HttpRequest| user_or_error(request)),
                                ))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/caller")
                                .wrap(limited(limit("5").key(caller_of)))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/two/{tenant}")
                                .wrap(limited(
                                    limit("6").key(user.clone().and(key::path("tenant"))),
                                ))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/bearer")
                                .wrap(limited(limit("7").key(key::bearer())))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/missing-denied")
                                .wrap(limited(
                                    limit("8").key(user.clone()).missing_key(MissingKey::Deny),
                                ))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/missing-skipped")
                                .wrap(limited(
                                    limit("9").key(user.clone()).missing_key(MissingKey::Skip),
                                ))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/missing-by-address")
                                .wrap(limited(limit("10").key(user)))
                                .route(ok()),
                        ),
                ),
        )
        .await
    }};
}

fn request_of(user: &str, path: &str, client: u8) -> TestRequest {
    from_client(client, TestRequest::get().uri(path).insert_header(("X-User", user)))
}

#[actix_web::test]
async fn async_key_functions_select_the_bucket() {
    let app = application!();
    for path in ["/async-function", "/async-closure", "/untyped-async"] {
        for path in [path.to_owned(), format!("/middleware{path}")] {
            if path == "/middleware/untyped-async" {
                continue;
            }
            let send_as =
                async |user, client| send(&app, request_of(user, &path, client)).await.status;
            assert_eq!(
                [send_as("ann", 1).await, send_as("ann", 2).await, send_as("bob", 1).await],
                [200, 429, 200]
            );
            // A client that has no key must be counted by address.
            assert_eq!(
                [send_as("", 1).await, send_as("", 1).await, send_as("", 2).await],
                [200, 429, 200],
                "{path}"
            );
        }
    }
}

#[actix_web::test]
async fn failed_key_function_is_the_response_and_takes_no_units() {
    let app = application!();
    for path in ["/failing", "/failing-async", "/middleware/failing", "/middleware/failing-async"] {
        let send_as = async |user| send(&app, request_of(user, path, 1)).await;
        for _ in 0..3 {
            let response = send_as("invalid").await;
            assert_eq!((response.status, &*response.body), (401, "invalid user"), "{path}");
            assert_eq!(response.numbers(), None);
        }
        assert_eq!(
            [send_as("ann").await.status, send_as("ann").await.status],
            [200, 429],
            "{path}"
        );
        assert_eq!([send_as("").await.status, send_as("").await.status], [200, 429], "{path}");
    }
}

#[actix_web::test]
async fn exempt_caller_is_not_limited() {
    let app = application!();
    for path in ["/caller", "/middleware/caller"] {
        let send_as = async |user| send(&app, request_of(user, path, 1)).await;
        for _ in 0..3 {
            let response = send_as("internal").await;
            assert_eq!((response.status, response.numbers()), (200, None), "{path}");
        }
        assert_eq!(
            [send_as("ann").await.status, send_as("ann").await.status],
            [200, 429],
            "{path}"
        );
        assert_eq!([send_as("").await.status, send_as("").await.status], [200, 429], "{path}");
    }
}

#[actix_web::test]
async fn keys_with_any_different_part_have_separate_buckets() {
    let app = application!();
    for scope in ["", "/middleware"] {
        let send_as = async |user, tenant, client| {
            send(&app, request_of(user, &format!("{scope}/two/{tenant}"), client)).await.status
        };
        assert_eq!([send_as("ann", "a", 1).await, send_as("ann", "a", 2).await], [200, 429]);
        assert_eq!([send_as("ann", "b", 1).await, send_as("bob", "a", 1).await], [200, 200]);
        // If a request has no value for one part of the key, the client must be counted only by its address.
        assert_eq!(
            [send_as("", "a", 1).await, send_as("", "b", 1).await, send_as("", "a", 2).await],
            [200, 429, 200]
        );
    }
    let send_as = async |user, tenant| {
        send(&app, request_of(user, "/tuple", 1).insert_header(("X-Tenant", tenant))).await.status
    };
    assert_eq!(
        [send_as("a", "bc").await, send_as("ab", "c").await, send_as("a", "bc").await],
        [200, 200, 429]
    );
}

#[actix_web::test]
async fn all_spellings_of_a_credential_share_one_bucket() {
    let app = application!();
    for path in ["/bearer", "/middleware/bearer"] {
        let send_as = async |credential: &str, client| {
            let request = TestRequest::get().uri(path).insert_header(("Authorization", credential));
            send(&app, from_client(client, request)).await.status
        };
        assert_eq!(send_as("Bearer t0ken", 1).await, 200);
        for spelling in ["Bearer t0ken", "bearer t0ken", "BEARER    t0ken", "Bearer t0ken  "] {
            assert_eq!(send_as(spelling, 2).await, 429, "{path} {spelling}");
        }
        assert_eq!(send_as("Bearer T0ken", 2).await, 200, "credentials are case-sensitive");
        // An authentication scheme other than `Bearer` has no bearer token. Therefore the client is counted by
        // address.
        assert_eq!([send_as("Basic t0ken", 3).await, send_as("Basic other", 3).await], [200, 429]);
    }
}

#[actix_web::test]
async fn missing_key_is_counted_rejected_or_admitted_as_configured() {
    let app = application!();
    for scope in ["", "/middleware"] {
        let send_as = async |user, path: &str, client| {
            send(&app, request_of(user, &format!("{scope}{path}"), client)).await
        };
        for client in [1, 1, 2] {
            let rejected = send_as("", "/missing-denied", client).await;
            assert_eq!((rejected.status, &*rejected.body), (403, "Forbidden.\n"));
            assert_eq!(rejected.header("cache-control"), Some("no-store"));
            assert_eq!(rejected.numbers(), None);
            assert_eq!(send_as("", "/missing-skipped", client).await.status, 200);
        }
        let by_address = [
            send_as("", "/missing-by-address", 1).await.status,
            send_as("", "/missing-by-address", 1).await.status,
            send_as("", "/missing-by-address", 2).await.status,
        ];
        assert_eq!(by_address, [200, 429, 200]);
        for path in ["/missing-denied", "/missing-skipped", "/missing-by-address"] {
            let keyed =
                [send_as("ann", path, 1).await.status, send_as("ann", path, 2).await.status];
            assert_eq!(keyed, [200, 429], "{scope}{path}");
        }
    }
}

#[get("/tiers")]
#[rate_limit(rate = "2/minute", key = "ip", name = "of-64")]
#[rate_limit(rate = "3/minute", key = "ip/48", name = "of-48")]
async fn tiers() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn limits_by_networks_of_two_sizes_both_apply() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("2/minute").key(key::ip()).name("client"))
        .and(Limit::new("3/minute").key(key::ip_network(48)).name("site"));
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(tiers)
            .service(web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok"))),
    )
    .await;
    for path in ["/tiers", "/middleware"] {
        let send_as = async |address: &str| {
            let peer = SocketAddr::new(address.parse().unwrap(), 1);
            send(&app, TestRequest::get().uri(path).peer_addr(peer)).await.status
        };
        for (address, status) in [
            ("2001:db8:0:1::1", 200),
            ("2001:db8:0:1::2", 200),
            ("2001:db8:0:1::3", 429), // third request of its /64
            ("2001:db8:0:2::1", 200),
            ("2001:db8:0:3::1", 429), // fourth request of its /48
            ("2001:db8:1:3::1", 200),
            ("192.0.2.1", 200),
            ("192.0.2.1", 200),
            ("192.0.2.1", 429),
            ("192.0.2.2", 200),
        ] {
            assert_eq!(send_as(address).await, status, "{path} {address}");
        }
    }
}

#[actix_web::test]
async fn key_of_value_matches_the_key_of_requests() {
    let rule = ClientAddress::peer().ipv6_prefix(56).unwrap();
    let guard = RateGuard::builder().client_address(rule).build().unwrap();
    let request = |name: &'static str, value: &'static str| {
        TestRequest::get().uri("/").insert_header((name, value))
    };
    let peer = SocketAddr::new("2001:db8::1".parse().unwrap(), 1);
    for (by, value, request) in [
        (key::header("X-User"), "ann", request("X-User", "ann")),
        (key::bearer(), "t0ken", request("Authorization", "Bearer t0ken")),
        (key::cookie("c"), "v", request("Cookie", "c=v")),
        (key::user(), "42", TestRequest::get().uri("/")),
        (key::ip_network(56), "2001:db8::2", TestRequest::get().uri("/")),
    ] {
        let policy = Policy::new("of-value", "1/minute").unwrap();
        let app = init_service(
            App::new()
                .wrap(RateLimit::new(
                    &guard,
                    Limit::new("1/minute").key(by.clone()).name("of-value"),
                ))
                .wrap_fn(|request, service| {
                    request.extensions_mut().insert(UserId::new("42"));
                    service.call(request)
                })
                .route("/", web::get().to(async || "ok")),
        )
        .await;
        let key = by.key_of(value).unwrap();
        assert!(guard.allows(&policy, &key).await);
        assert_eq!(send(&app, request.peer_addr(peer)).await.status, 429, "{by:?}");
    }
    assert_eq!(key::ip().key_of("no address"), None);
    assert_eq!(key::global().key_of(""), None);
    assert_eq!(key::user().and(key::ip()).key_of("42"), None);
}

#[actix_web::test]
async fn key_function_is_called_once_for_each_limit() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let guard = RateGuard::in_memory();
    let counting_key = |request: &HttpRequest| {
        CALLS.fetch_add(1, Relaxed);
        header(request, "X-User")
    };
    let limit = RateLimit::new(&guard, Limit::new("9/minute").key(counting_key));
    let app = init_service(App::new().wrap(limit).route("/", web::get().to(async || "ok"))).await;
    assert_eq!(send(&app, request_of("ann", "/", 1)).await.status, 200);
    assert_eq!(CALLS.load(Relaxed), 1);
}

#[actix_web::test]
async fn guards_share_counts_only_with_the_same_secret() {
    let store = Arc::new(MemoryStore::new());
    let guard = |secret: &str| {
        RateGuard::builder().store(Arc::clone(&store)).key_secret(secret).build().unwrap()
    };
    let plain = RateGuard::builder().store(Arc::clone(&store)).build().unwrap();
    let policy = Policy::new("p", "2/hour").unwrap();
    let key = Key::from("ann");
    let secret = "the secret of the servers";
    let max_wait = Duration::from_secs(1);
    assert!(guard(secret).allows(&policy, &key).await);
    assert!(guard(secret).check_or_wait(&policy, &key, max_wait).await.unwrap().is_allowed());
    assert!(!guard(secret).allows(&policy, &key).await);
    for other in [guard("the secret of another server"), plain] {
        assert_eq!(other.peek(&policy, &key).await.unwrap().remaining(), 2);
    }
    let reservation = guard(secret).request(&policy, &Key::from("bob")).reserve().await.unwrap();
    assert_eq!(reservation.refund().await.unwrap().remaining(), 2);
    guard(secret).reset(&policy, &key).await.unwrap();
    assert!(guard(secret).allows(&policy, &key).await);
    let error = RateGuard::builder().key_secret("too short").build().unwrap_err().to_string();
    assert_eq!(error, "key_secret: expected a secret of at least 16 bytes");
}

#[test]
#[should_panic(expected = "from \"ip/32\" to \"ip/128\"")]
fn invalid_network_prefix_of_a_key_panics() {
    let _ = key::ip_network(24);
}
