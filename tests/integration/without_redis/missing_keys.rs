//! Tests the warning about a limit whose key no request has.

use std::future::{Ready, ready};

use actix_rateguard::{Limit, RateGuard, RateLimit, UserId, rate_limit};
use actix_web::{
    App, Error, FromRequest, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    get,
    middleware::{Next, from_fn},
    test::{TestRequest, init_service},
    web,
};

use crate::support::{
    app::{from_client, send, statuses},
    log_lines,
};

/// Returns the warnings about the limit with this name.
fn warnings(limit: &str) -> Vec<String> {
    log_lines::with(&format!("limit `{limit}` at "))
}

fn limit(name: &'static str, key: &str) -> Limit {
    log_lines::collect();
    Limit::new("1000/minute").name(name).key(key)
}

/// Simulates the middleware with which an application authenticates its users. Each client is a user.
async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    request.extensions_mut().insert(UserId::new("ann"));
    next.call(request).await
}

#[actix_web::test]
async fn limit_outside_the_authentication_is_logged_after_100_requests() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, limit("outside", "user"));
    let app = App::new().wrap(from_fn(authenticate)).wrap(limit);
    let app = init_service(app.route("/", web::get().to(async || "ok"))).await;
    statuses(&app, 1, "/", 99).await;
    assert_eq!(warnings("outside"), [""; 0]);
    statuses(&app, 1, "/", 200).await;
    let lines = warnings("outside");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "WARN limit `outside` at tests/integration/without_redis/missing_keys.rs:",
        " with the key `user`: none of its first 100 requests had the key. ",
        "Requests without the key are counted by address. ",
        "register the authentication after the limit, so that it runs first. ",
        "An extractor cannot insert it in time, because extractors run after the limit",
    ] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
}

#[actix_web::test]
async fn one_request_with_the_key_prevents_the_warning() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, limit("some-keys", "header:X-Api-Key"));
    let app = App::new().wrap(limit).route("/", web::get().to(async || "ok"));
    let app = init_service(app).await;
    statuses(&app, 1, "/", 99).await;
    let request = TestRequest::get().uri("/").insert_header(("X-Api-Key", "one"));
    assert_eq!(send(&app, from_client(1, request)).await.status, 200);
    statuses(&app, 1, "/", 200).await;
    assert_eq!(warnings("some-keys"), [""; 0]);
}

#[actix_web::test]
async fn all_workers_count_the_requests_of_a_limit_together() {
    let guard = RateGuard::in_memory();
    let start_worker = async || {
        let limit = RateLimit::new(&guard, limit("workers", "cookie:session"));
        init_service(App::new().wrap(limit).route("/", web::get().to(async || "ok"))).await
    };
    let (one, other) = (start_worker().await, start_worker().await);
    statuses(&one, 1, "/", 60).await;
    assert_eq!(warnings("workers"), [""; 0]);
    statuses(&other, 1, "/", 60).await;
    assert_eq!(warnings("workers").len(), 1);
    statuses(&one, 1, "/", 200).await;
    assert_eq!(warnings("workers").len(), 1);
}

#[actix_web::test]
async fn warning_names_the_missing_part_and_the_consequence() {
    for (name, key, missing, advice, consequence) in [
        ("parts", "ip+user+header:X-Key", "ip", "the authentication", "are counted by address"),
        ("parts-2", "ip+header:X-Key", "skip", "the header `x-key`", "are not limited"),
        ("parts-3", "cookie:sid", "deny", "the cookie `sid`", "are rejected with 403"),
        ("parts-4", "bearer", "ip", "`Authorization: Bearer`", "are counted by address"),
    ] {
        let guard = RateGuard::in_memory();
        let limit = RateLimit::new(&guard, limit(name, key).missing_key(missing));
        let app = App::new().wrap(limit).route("/", web::get().to(async || "ok"));
        statuses(&init_service(app).await, 1, "/", 100).await;
        let lines = warnings(name);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(advice) && lines[0].contains(consequence), "{lines:?}");
    }
}

/// An extractor that authenticates the user, which is too late for every limit.
struct User;

impl FromRequest for User {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        request.extensions_mut().insert(UserId::new("ann"));
        ready(Ok(Self))
    }
}

#[get("/extractor")]
#[rate_limit(rate = "1000/minute", name = "extractor", key = "user")]
async fn extractor(_user: User) -> &'static str {
    "ok"
}

#[get("/no-user")]
#[rate_limit(rate = "1000/minute", name = "no-user", key = |_: &HttpRequest| None::<String>)]
async fn no_user() -> &'static str {
    "ok"
}

#[get("/tenants/{tenant}/misspelled")]
#[rate_limit(rate = "1000/minute", name = "misspelled", key = "path:tenent")]
async fn misspelled() -> &'static str {
    "ok"
}

#[get("/files/{tail:.*}")]
#[rate_limit(rate = "1000/minute", name = "empty-tail", key = "path:tail")]
async fn empty_tail() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn attribute_whose_key_function_returns_no_key_is_logged() {
    log_lines::collect();
    let app = app!(RateGuard::in_memory(), no_user);
    statuses(&app, 1, "/no-user", 250).await;
    let lines = warnings("no-user");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("with the key `function`"), "{lines:?}");
    let advice = "Check why the key function returns no key. If it reads a value that a middleware inserts, check whether this middleware wraps the handler. ";
    assert!(lines[0].contains(advice), "{lines:?}");
}

#[actix_web::test]
async fn middleware_whose_key_function_returns_no_key_is_logged() {
    let guard = RateGuard::in_memory();
    let limit = limit("no-value", "ip").key(|_: &HttpRequest| None::<String>);
    let app = App::new().wrap(RateLimit::new(&guard, limit));
    let app = init_service(app.route("/", web::get().to(async || "ok"))).await;
    statuses(&app, 1, "/", 100).await;
    let lines = warnings("no-value");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "If it reads a value that a middleware inserts, register this middleware after the limit, so that it runs first. ",
        "It cannot read a value that an extractor inserts, because extractors run after the limit",
    ] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
}

#[actix_web::test]
async fn attribute_does_not_find_the_user_of_an_extractor_and_the_warning_says_so() {
    log_lines::collect();
    let app = app!(RateGuard::in_memory(), extractor);
    statuses(&app, 1, "/extractor", 100).await;
    let lines = warnings("extractor");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "a middleware around the handler must insert a `UserId`",
        "An extractor cannot insert it in time, because extractors run after the limit",
    ] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    // The order of the middlewares does not matter to an attribute.
    assert!(!lines[0].contains("runs first"), "{lines:?}");
}

#[actix_web::test]
async fn misspelled_route_parameter_is_logged_after_100_requests() {
    log_lines::collect();
    let app = app!(RateGuard::in_memory(), misspelled);
    statuses(&app, 1, "/tenants/a/misspelled", 99).await;
    assert_eq!(warnings("misspelled"), [""; 0]);
    statuses(&app, 1, "/tenants/a/misspelled", 200).await;
    let lines = warnings("misspelled");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let expected = "Check the name of the route parameter `tenent`; the route `/tenants/{tenant}/misspelled` of the last request has no such parameter";
    assert!(lines[0].contains(expected), "{lines:?}");
}

#[actix_web::test]
async fn route_without_the_parameter_does_not_end_the_probe() {
    let guard = RateGuard::in_memory();
    let two_paths = RateLimit::new(&guard, limit("two-paths", "path:tenant"));
    let around_tenants = RateLimit::new(&guard, limit("around-tenants", "path:tenant"));
    let route = || web::get().to(async || "ok");
    let app = App::new()
        .service(web::resource(["/all", "/of/{tenant}"]).wrap(two_paths).route(route()))
        .service(
            web::scope("/tenants")
                .wrap(around_tenants)
                .route("", route())
                .route("/{tenant}", route()),
        );
    let app = init_service(app).await;
    // A request to the other path of the resource has the key, so the limit needs no warning.
    assert_eq!(statuses(&app, 1, "/all", 99).await, [200; 99]);
    assert_eq!(statuses(&app, 1, "/of/acme", 1).await, [200]);
    assert_eq!(statuses(&app, 1, "/all", 200).await, [200; 200]);
    assert_eq!(warnings("two-paths"), [""; 0]);
    // The limit around the scope has a mistake, which only a request to the other route shows.
    assert_eq!(statuses(&app, 1, "/tenants", 1).await, [200]);
    assert_eq!(warnings("around-tenants"), [""; 0]);
    assert_eq!(statuses(&app, 1, "/tenants/acme", 1).await, [200]);
    let lines = warnings("around-tenants");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("runs before actix-web reads the parameter `tenant`"), "{lines:?}");
}

#[actix_web::test]
async fn route_parameter_before_routing_is_logged_at_the_first_request() {
    let guard = RateGuard::in_memory();
    let around_app = RateLimit::new(&guard, limit("around-app", "path:tenant"));
    let around_scope = RateLimit::new(&guard, limit("around-scope", "path:tenant"));
    let route = || web::get().to(async || "ok");
    let app = App::new()
        .service(
            web::scope("/api")
                .wrap(around_scope)
                .route("/health", route())
                .route("/{tenant:[a-z]+}/items", route()),
        )
        .wrap(around_app);
    let app = init_service(app).await;
    // These requests need no tenant, and the second one has no route.
    assert_eq!(statuses(&app, 1, "/api/health", 1).await, [200]);
    assert_eq!(statuses(&app, 1, "/nowhere", 1).await, [404]);
    for name in ["around-app", "around-scope"] {
        assert_eq!(warnings(name), [""; 0]);
    }
    assert_eq!(statuses(&app, 1, "/api/acme/items", 1).await, [200]);
    for name in ["around-app", "around-scope"] {
        let lines = warnings(name);
        let expected = "before actix-web reads the parameter `tenant` of the route `/api/{tenant:[a-z]+}/items`";
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(expected), "{lines:?}");
    }
}

#[actix_web::test]
async fn limits_that_can_read_the_route_parameter_are_not_logged() {
    let guard = RateGuard::in_memory();
    let around_scope = RateLimit::new(&guard, limit("own-path", "path:tenant"));
    let scope = web::scope("/{tenant}").wrap(around_scope);
    let app = app!(guard, empty_tail, scope.route("/items", web::get().to(async || "ok")));
    assert_eq!(statuses(&app, 1, "/files/", 5).await, [200; 5]);
    assert_eq!(statuses(&app, 1, "/acme/items", 200).await, [200; 200]);
    assert_eq!([warnings("own-path"), warnings("empty-tail")], [[""; 0], [""; 0]]);
}

#[actix_web::test]
async fn explanations_are_not_counted() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, limit("explained", "user"));
    let app = App::new().wrap(limit).route("/", web::get().to(async || "ok"));
    let _app = init_service(app).await;
    let request = TestRequest::get().uri("/").to_http_request();
    for _ in 0..200 {
        guard.explain_request(&request, &["explained"]).await;
    }
    assert_eq!(warnings("explained"), [""; 0]);
}
