//! Tests limits between other middlewares, in the order of `docs/middleware-order.md`. The tests in `preflights` and
//! `missing_keys` cover CORS, and authentication in the wrong place.

use actix_rateguard::{Limit, RateGuard, RateLimit, UserId, rate_limit};
use actix_web::{
    App, Error, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    error::ErrorUnauthorized,
    get,
    http::StatusCode,
    middleware::{
        Compress, DefaultHeaders, ErrorHandlerResponse, ErrorHandlers, Logger, Next, NormalizePath,
        from_fn,
    },
    test::{TestRequest, init_service},
    web,
};

use crate::support::{
    app::{from_client, get, send, statuses},
    log_lines,
};

async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(user) = request.headers().get("Authorization") else {
        return Err(ErrorUnauthorized("log in first"));
    };
    let user = UserId::new(user.to_str().unwrap());
    request.extensions_mut().insert(user);
    next.call(request).await
}

#[get("/attribute")]
#[rate_limit(rate = "2/minute", key = "user")]
async fn attribute() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn failed_logins_count_by_address_and_users_count_inside() {
    let guard = RateGuard::in_memory();
    let limit = |rate, key, name| RateLimit::new(&guard, Limit::new(rate).key(key).name(name));
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(attribute)
            .route("/", web::get().to(async || "ok"))
            .wrap(limit("3/minute", "user", "order-user"))
            .wrap(from_fn(authenticate))
            .wrap(limit("6/minute", "ip", "order-address")),
    )
    .await;
    let status_of = async |client, user: Option<&'static str>, path| {
        let request = TestRequest::get().uri(path);
        let user = user.map(|user| ("Authorization", user));
        let request = user.into_iter().fold(request, TestRequest::insert_header);
        send(&app, from_client(client, request)).await.status
    };
    for expected in [401, 401, 401, 401, 401, 401, 429] {
        assert_eq!(status_of(1, None, "/").await, expected);
    }
    // The limit by address is outside the authentication, so a user at this address is rejected, too.
    assert_eq!(status_of(1, Some("alice"), "/").await, 429);
    // The rejected requests have taken nothing of the user. The attribute is inside both middlewares.
    for (path, expected) in
        [("/attribute", 200), ("/attribute", 200), ("/attribute", 429), ("/", 429)]
    {
        assert_eq!(status_of(2, Some("alice"), path).await, expected, "{path}");
    }
    assert_eq!(status_of(2, Some("bob"), "/").await, 200);
}

#[actix_web::test]
async fn outer_compress_compresses_rejections() {
    let guard = RateGuard::in_memory();
    let limit = || RateLimit::new(&guard, Limit::new("1/minute").name("order-compress"));
    let handler = async || "ok";
    let outer =
        App::new().route("/", web::get().to(handler)).wrap(limit()).wrap(Compress::default());
    let inner =
        App::new().route("/", web::get().to(handler)).wrap(Compress::default()).wrap(limit());
    let request = |client, encoding| {
        from_client(client, TestRequest::get().insert_header(("Accept-Encoding", encoding)))
    };

    async fn encoding<S, B>(app: &S, request: TestRequest) -> (u16, Option<String>)
    where
        S: actix_web::dev::Service<
                actix_http::Request,
                Response = ServiceResponse<B>,
                Error = Error,
            >,
    {
        let response = app.call(request.to_request()).await.unwrap();
        let encoding = response.headers().get("Content-Encoding");
        let encoding = encoding.map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), encoding)
    }
    let (outer, inner) = (init_service(outer).await, init_service(inner).await);
    let gzip = Some("gzip".to_owned());
    assert_eq!(encoding(&outer, request(1, "gzip")).await, (200, gzip.clone()));
    assert_eq!(encoding(&outer, request(1, "gzip")).await, (429, gzip.clone()));
    assert_eq!(encoding(&inner, request(2, "gzip")).await, (200, gzip));
    assert_eq!(encoding(&inner, request(2, "gzip")).await, (429, None));
    // `Compress` rejects this request before it reaches the limit inside.
    let unsupported = "identity;q=0, *;q=0";
    assert_eq!(encoding(&outer, request(3, unsupported)).await.0, 406);
    assert_eq!(encoding(&outer, request(3, "gzip")).await.0, 200);
}

#[actix_web::test]
async fn only_an_outer_logger_logs_rejections() {
    log_lines::collect();
    let guard = RateGuard::in_memory();
    let limit = |name| RateLimit::new(&guard, Limit::new("1/minute").name(name));
    let logger = |text| Logger::new(text).log_target("logger");
    let app = init_service(
        App::new()
            .route("/", web::get().to(async || "ok"))
            .wrap(logger("order-test inner %s"))
            .wrap(limit("order-logger"))
            .wrap(logger("order-test outer %s")),
    )
    .await;
    assert_eq!(statuses(&app, 1, "/", 2).await, [200, 429]);
    let mut lines = log_lines::from_all_targets_with("order-test");
    lines.sort();
    let expected = ["inner 200", "outer 200", "outer 429"];
    assert_eq!(lines, expected.map(|line| format!("INFO order-test {line}")));
}

#[actix_web::test]
async fn outer_middlewares_change_rejections() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("1/minute").name("order-outer"));
    let page = |response: ServiceResponse<_>| {
        let (request, response) = response.into_parts();
        let response = response.set_body("slow down").map_into_boxed_body().map_into_right_body();
        Ok(ErrorHandlerResponse::Response(ServiceResponse::new(request, response)))
    };
    let app = init_service(
        App::new()
            .route("/", web::get().to(async || "ok"))
            .wrap(limit)
            .wrap(ErrorHandlers::new().handler(StatusCode::TOO_MANY_REQUESTS, page))
            .wrap(DefaultHeaders::new().add(("X-Version", "7"))),
    )
    .await;
    assert_eq!(get(&app, 1, "/").await.status, 200);
    let denied = get(&app, 1, "/").await;
    assert_eq!((denied.status, &*denied.body), (429, "slow down"));
    assert_eq!(denied.header("x-version"), Some("7"));
    assert!(denied.numbers().is_some() && denied.header("retry-after").is_some());
}

#[actix_web::test]
async fn outer_normalize_path_changes_the_path_that_skip_reads() {
    let guard = RateGuard::in_memory();
    let limit = |name| {
        let limit = Limit::new("1/minute")
            .name(name)
            .skip(|request: &HttpRequest| request.path() == "/health");
        RateLimit::new(&guard, limit)
    };
    let health = || web::get().to(async || "ok");
    let outer = App::new().route("/health", health()).wrap(limit("order-normalized"));
    let outer = init_service(outer.wrap(NormalizePath::trim())).await;
    assert_eq!(statuses(&outer, 1, "/health/", 3).await, [200, 200, 200]);
    let inner = App::new().route("/health", health()).wrap(NormalizePath::trim());
    let inner = init_service(inner.wrap(limit("order-as-sent"))).await;
    assert_eq!(statuses(&inner, 1, "/health/", 3).await, [200, 429, 429]);
    assert_eq!(statuses(&inner, 1, "/health", 3).await, [200, 200, 200]);
}

tokio::task_local! {
    static TENANT: &'static str;
}

#[actix_web::test]
async fn key_function_reads_task_local_value_of_an_outer_middleware() {
    let guard = RateGuard::in_memory();
    let tenant = |_: &HttpRequest| TENANT.try_with(|tenant| (*tenant).to_owned()).ok();
    let limit = Limit::new("1/minute").key(tenant).missing_key("deny").name("order-task-local");
    let app = init_service(
        App::new()
            .route("/", web::get().to(async || TENANT.get()))
            .wrap(RateLimit::new(&guard, limit))
            // The value exists only while the returned future is polled, and not during the call.
            .wrap_fn(|request, service| TENANT.scope("tenant", service.call(request))),
    )
    .await;
    assert_eq!(statuses(&app, 1, "/", 2).await, [200, 429]);
}
