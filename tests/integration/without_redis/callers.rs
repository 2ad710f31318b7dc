//! Who is counted together: keys that are awaited, that fail, that are missing or have several parts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use actix_web::{
    App, Error, HttpMessage, HttpRequest, Responder,
    dev::Service,
    error::ErrorUnauthorized,
    get,
    test::{TestRequest, init_service},
    web,
};
use rateguard::{
    Caller, ClientAddress, Key, MemoryStore, MissingKey, Policy, RateGuard, RateLimit, UserId, key,
    rate_limit,
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
    by_async_function "/async-function" (key = looked_up);
    by_async_closure "/async-closure" (key = async |req: &HttpRequest| looked_up(req).await);
    by_untyped_async "/untyped-async" (key = async |req| looked_up(req).await);
    by_failing "/failing" (key = may_fail);
    by_failing_async "/failing-async" (key = async |req: &HttpRequest| may_fail(req));
    by_caller "/caller" (key = caller);
    by_two "/two/{tenant}" (key = "header:X-User+path:tenant");
    by_tuple "/tuple" (key = |req: &HttpRequest| (header(req, "X-User"), header(req, "X-Tenant")));
    by_bearer "/bearer" (key = "bearer");
    denied_without "/denied-without" (key = "header:X-User", missing = "deny");
    skipped_without "/skipped-without" (key = "header:X-User", missing = "skip");
    by_address_without "/by-address-without" (key = "header:X-User", missing = "ip");
}

fn header(request: &HttpRequest, name: &str) -> String {
    request.headers().get(name).map_or(String::new(), |it| it.to_str().unwrap().to_owned())
}

/// Stands for a look-up in a database.
async fn looked_up(request: &HttpRequest) -> Option<String> {
    actix_web::rt::task::yield_now().await;
    Some(header(request, "X-User")).filter(|user| !user.is_empty())
}

fn may_fail(request: &HttpRequest) -> Result<Option<String>, Error> {
    match &*header(request, "X-User") {
        "invalid" => Err(ErrorUnauthorized("who are you?")),
        "" => Ok(None),
        user => Ok(Some(user.to_owned())),
    }
}

fn caller(request: &HttpRequest) -> Caller {
    match &*header(request, "X-User") {
        "ourselves" => Caller::Exempt,
        "" => Caller::Unknown,
        user => Caller::Known(Key::from(user)),
    }
}

/// The answers of an application with all these handlers, and the same keys on middlewares under `/middleware`.
macro_rules! answering {
    () => {{
        let guard = RateGuard::in_memory();
        let limit = |name| RateLimit::new(&guard, "1/minute").name(name);
        let ok = || web::get().to(async || "ok");
        let user = key::header("X-User");
        init_service(
            App::new()
                .app_data(guard.clone())
                .service((by_async_function, by_async_closure, by_untyped_async, by_failing))
                .service((by_failing_async, by_caller, by_two, by_tuple, by_bearer))
                .service((denied_without, skipped_without, by_address_without))
                .service(
                    web::scope("/middleware")
                        .service(
                            web::resource("/async-function")
                                .wrap(limit("1").by(looked_up))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/async-closure")
                                .wrap(
                                    limit("2")
                                        .by(async |request: &HttpRequest| looked_up(request).await),
                                )
                                .route(ok()),
                        )
                        .service(
                            web::resource("/failing").wrap(limit("3").by(may_fail)).route(ok()),
                        )
                        .service(
                            web::resource("/failing-async")
                                .wrap(
                                    limit("4").by(async |request: &HttpRequest| may_fail(request)),
                                )
                                .route(ok()),
                        )
                        .service(web::resource("/caller").wrap(limit("5").by(caller)).route(ok()))
                        .service(
                            web::resource("/two/{tenant}")
                                .wrap(limit("6").by(user.clone().and(key::path("tenant"))))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/bearer").wrap(limit("7").by(key::bearer())).route(ok()),
                        )
                        .service(
                            web::resource("/denied-without")
                                .wrap(limit("8").by(user.clone()).missing_key(MissingKey::Deny))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/skipped-without")
                                .wrap(limit("9").by(user.clone()).missing_key(MissingKey::Skip))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/by-address-without")
                                .wrap(limit("10").by(user))
                                .route(ok()),
                        ),
                ),
        )
        .await
    }};
}

fn by(user: &str, path: &str, client: u8) -> TestRequest {
    from_client(client, TestRequest::get().uri(path).insert_header(("X-User", user)))
}

#[actix_web::test]
async fn a_key_may_be_awaited() {
    let app = answering!();
    for path in ["/async-function", "/async-closure", "/untyped-async"] {
        for path in [path.to_owned(), format!("/middleware{path}")] {
            if path == "/middleware/untyped-async" {
                continue;
            }
            let ask = async |user, client| send(&app, by(user, &path, client)).await.status;
            assert_eq!(
                [ask("ann", 1).await, ask("ann", 2).await, ask("bob", 1).await],
                [200, 429, 200]
            );
            // Without one, the address counts.
            assert_eq!(
                [ask("", 1).await, ask("", 1).await, ask("", 2).await],
                [200, 429, 200],
                "{path}"
            );
        }
    }
}

#[actix_web::test]
async fn a_key_that_fails_answers_the_request_and_takes_nothing() {
    let app = answering!();
    for path in ["/failing", "/failing-async", "/middleware/failing", "/middleware/failing-async"] {
        let ask = async |user| send(&app, by(user, path, 1)).await;
        for _ in 0..3 {
            let answer = ask("invalid").await;
            assert_eq!((answer.status, &*answer.body), (401, "who are you?"), "{path}");
            assert_eq!(answer.numbers(), None);
        }
        assert_eq!([ask("ann").await.status, ask("ann").await.status], [200, 429], "{path}");
        assert_eq!([ask("").await.status, ask("").await.status], [200, 429], "{path}");
    }
}

#[actix_web::test]
async fn a_caller_may_be_exempt() {
    let app = answering!();
    for path in ["/caller", "/middleware/caller"] {
        let ask = async |user| send(&app, by(user, path, 1)).await;
        for _ in 0..3 {
            let answer = ask("ourselves").await;
            assert_eq!((answer.status, answer.numbers()), (200, None), "{path}");
        }
        assert_eq!([ask("ann").await.status, ask("ann").await.status], [200, 429], "{path}");
        assert_eq!([ask("").await.status, ask("").await.status], [200, 429], "{path}");
    }
}

#[actix_web::test]
async fn all_parts_of_a_key_tell_callers_apart() {
    let app = answering!();
    for scope in ["", "/middleware"] {
        let ask = async |user, tenant, client| {
            send(&app, by(user, &format!("{scope}/two/{tenant}"), client)).await.status
        };
        assert_eq!([ask("ann", "a", 1).await, ask("ann", "a", 2).await], [200, 429]);
        assert_eq!([ask("ann", "b", 1).await, ask("bob", "a", 1).await], [200, 200]);
        // Who lacks a part is counted by address alone.
        assert_eq!(
            [ask("", "a", 1).await, ask("", "b", 1).await, ask("", "a", 2).await],
            [200, 429, 200]
        );
    }
    let ask = async |user, tenant| {
        send(&app, by(user, "/tuple", 1).insert_header(("X-Tenant", tenant))).await.status
    };
    assert_eq!([ask("a", "bc").await, ask("ab", "c").await, ask("a", "bc").await], [200, 200, 429]);
}

#[actix_web::test]
async fn a_credential_is_one_key_however_it_is_spelled() {
    let app = answering!();
    for path in ["/bearer", "/middleware/bearer"] {
        let ask = async |credential: &str, client| {
            let request = TestRequest::get().uri(path).insert_header(("Authorization", credential));
            send(&app, from_client(client, request)).await.status
        };
        assert_eq!(ask("Bearer t0ken", 1).await, 200);
        for spelling in ["Bearer t0ken", "bearer t0ken", "BEARER    t0ken", "Bearer t0ken  "] {
            assert_eq!(ask(spelling, 2).await, 429, "{path} {spelling}");
        }
        assert_eq!(ask("Bearer T0ken", 2).await, 200, "a credential has its case");
        // Another scheme is no key, whatever follows it.
        assert_eq!([ask("Basic t0ken", 3).await, ask("Basic other", 3).await], [200, 429]);
    }
}

#[actix_web::test]
async fn who_has_no_key_is_counted_by_address_refused_or_let_through_as_the_limit_says() {
    let app = answering!();
    for scope in ["", "/middleware"] {
        let ask = async |user, path: &str, client| {
            send(&app, by(user, &format!("{scope}{path}"), client)).await
        };
        for client in [1, 1, 2] {
            let refused = ask("", "/denied-without", client).await;
            assert_eq!((refused.status, &*refused.body), (403, "Forbidden.\n"));
            assert_eq!(refused.header("cache-control"), Some("no-store"));
            assert_eq!(refused.numbers(), None);
            assert_eq!(ask("", "/skipped-without", client).await.status, 200);
        }
        let of_address = [
            ask("", "/by-address-without", 1).await.status,
            ask("", "/by-address-without", 1).await.status,
            ask("", "/by-address-without", 2).await.status,
        ];
        assert_eq!(of_address, [200, 429, 200]);
        for path in ["/denied-without", "/skipped-without", "/by-address-without"] {
            let keyed = [ask("ann", path, 1).await.status, ask("ann", path, 2).await.status];
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
async fn networks_of_two_sizes_are_limited_together() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, "2/minute")
        .by(key::ip())
        .name("client")
        .and("3/minute")
        .by(key::ip_network(48))
        .name("site");
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(tiers)
            .service(web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok"))),
    )
    .await;
    for path in ["/tiers", "/middleware"] {
        let ask = async |address: &str| {
            let peer = SocketAddr::new(address.parse().unwrap(), 1);
            send(&app, TestRequest::get().uri(path).peer_addr(peer)).await.status
        };
        for (address, status) in [
            ("2001:db8:0:1::1", 200),
            ("2001:db8:0:1::2", 200),
            ("2001:db8:0:1::3", 429), // of its /64
            ("2001:db8:0:2::1", 200),
            ("2001:db8:0:3::1", 429), // of its /48
            ("2001:db8:1:3::1", 200),
            ("192.0.2.1", 200),
            ("192.0.2.1", 200),
            ("192.0.2.1", 429),
            ("192.0.2.2", 200),
        ] {
            assert_eq!(ask(address).await, status, "{path} {address}");
        }
    }
}

#[actix_web::test]
async fn the_key_of_a_value_is_the_key_of_requests_with_it() {
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
                .wrap(RateLimit::new(&guard, "1/minute").by(by.clone()).name("of-value"))
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
    assert_eq!(key::ip().key_of("nobody"), None);
    assert_eq!(key::global().key_of(""), None);
    assert_eq!(key::user().and(key::ip()).key_of("42"), None);
}

#[actix_web::test]
async fn a_function_over_the_request_is_called_once_for_each_limit() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let guard = RateGuard::in_memory();
    let counted = |request: &HttpRequest| {
        CALLS.fetch_add(1, Relaxed);
        header(request, "X-User")
    };
    let limit = RateLimit::new(&guard, "9/minute").by(counted);
    let app = init_service(App::new().wrap(limit).route("/", web::get().to(async || "ok"))).await;
    assert_eq!(send(&app, by("ann", "/", 1)).await.status, 200);
    assert_eq!(CALLS.load(Relaxed), 1);
}

#[actix_web::test]
async fn guards_with_one_secret_share_their_counts_and_those_with_another_do_not() {
    let store = Arc::new(MemoryStore::new());
    let guard = |secret: &str| {
        RateGuard::builder().store(Arc::clone(&store)).key_secret(secret).build().unwrap()
    };
    let plain = RateGuard::builder().store(Arc::clone(&store)).build().unwrap();
    let policy = Policy::new("p", "2/hour").unwrap();
    let key = Key::from("ann");
    let ours = "a secret of the servers";
    let patience = Duration::from_secs(1);
    assert!(guard(ours).allows(&policy, &key).await);
    assert!(guard(ours).check_or_wait(&policy, &key, patience).await.unwrap().is_allowed());
    assert!(!guard(ours).allows(&policy, &key).await);
    for other in [guard("a secret of somebody else"), plain] {
        assert_eq!(other.peek(&policy, &key).await.unwrap().remaining(), 2);
    }
    let reservation = guard(ours).request(&policy, &Key::from("bob")).reserve().await.unwrap();
    assert_eq!(reservation.refund().await.unwrap().remaining(), 2);
    guard(ours).reset(&policy, &key).await.unwrap();
    assert!(guard(ours).allows(&policy, &key).await);
    let error = RateGuard::builder().key_secret("too short").build().unwrap_err().to_string();
    assert_eq!(error, "key_secret: a secret has at least 16 bytes");
}

#[test]
#[should_panic(expected = "legal are \"ip/32\" to \"ip/128\"")]
fn a_network_that_cannot_be_one_client_is_found_where_the_key_is_made() {
    let _ = key::ip_network(24);
}
