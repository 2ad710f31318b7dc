//! Tests the rules that determine which responses make a request count: lists of statuses, functions of the
//! application, and requests that get no response.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::Mutex,
};

use actix_rateguard::{Count, Limit, Policy, RateGuard, RateLimit, key, rate_limit};
use actix_web::{
    App, HttpResponse, HttpServer, ResponseError,
    dev::{Service, ServiceResponse},
    error, get,
    http::StatusCode,
    test::init_service,
    web,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::support::{
    app::{get, statuses},
    folder::Folder,
    server,
};

fn response_with(status: u16) -> HttpResponse {
    HttpResponse::build(status.try_into().unwrap()).finish()
}

#[get("/list/{status}")]
#[rate_limit(rate = "2/365d", name = "list", count = "status:401,403")]
async fn list(status: web::Path<u16>) -> HttpResponse {
    response_with(*status)
}

#[get("/not/{status}")]
#[rate_limit(rate = "2/365d", name = "not", count = "status:!5xx")]
async fn not(status: web::Path<u16>) -> HttpResponse {
    response_with(*status)
}

#[actix_web::test]
async fn lists_and_exclusions_count_the_same_in_attribute_middleware_and_file() {
    for (attribute_path, count, free, counted) in [
        ("/list", "status:401,403", [200, 404, 503], [401, 403]),
        ("/not", "status:!5xx", [500, 502, 503], [200, 404]),
    ] {
        let folder = Folder::new();
        let text = format!("[policies.file]\nrate = \"2/365d\"\ncount = \"{count}\"\n");
        let path = folder.file("rateguard.toml", &text);
        let guard = RateGuard::builder().for_attributes(false);
        let guard = guard.policies_file(path).build().unwrap();
        let resource = |path: &str, limit: Limit| {
            let respond = async |status: web::Path<u16>| response_with(*status);
            web::resource(format!("{path}/{{status}}"))
                .wrap(RateLimit::new(&guard, limit))
                .to(respond)
        };
        let app = App::new().app_data(guard.clone()).service((list, not)).service((
            resource("/middleware", Limit::new("2/365d").name("text").count(count)),
            resource("/file", Limit::policy("file").count("all")),
        ));
        let app = init_service(app).await;
        for path in [attribute_path, "/middleware", "/file"] {
            for status in free.into_iter().chain(counted) {
                let response = get(&app, 1, &format!("{path}/{status}")).await;
                assert_eq!(response.status, status, "{path} {count}");
            }
            assert_eq!(statuses(&app, 1, &format!("{path}/200"), 1).await, [429], "{path} {count}");
        }
    }
}

#[derive(Debug)]
struct WrongPassword;

impl std::fmt::Display for WrongPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("wrong password")
    }
}

impl ResponseError for WrongPassword {
    fn status_code(&self) -> StatusCode {
        StatusCode::OK
    }
}

async fn log_in(outcome: web::Path<String>) -> actix_web::Result<HttpResponse> {
    match outcome.as_str() {
        "header" => Ok(HttpResponse::Ok().insert_header(("X-Failed", "1")).body("failed")),
        "error" => Err(WrongPassword.into()),
        "other-error" => Err(error::ErrorBadRequest("no")),
        _ => Ok(HttpResponse::Ok().body("welcome")),
    }
}

#[actix_web::test]
async fn function_of_the_response_determines_whether_a_request_counts() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    let is_failure = |response: &HttpResponse<()>| {
        let error = response.error().and_then(|error| error.as_error::<WrongPassword>());
        response.headers().contains_key("X-Failed") || error.is_some()
    };
    let limit = RateLimit::new(&guard, Limit::new("3/365d").count(is_failure));
    let app = App::new()
        .service(web::resource("/login/{outcome}").wrap(limit).to(log_in))
        .service(web::resource("/inner").to(async || "ok"));
    let app = init_service(app).await;
    for (outcome, remaining, body) in [
        ("welcome", 3, "welcome"),
        ("other-error", 3, "no"),
        ("header", 2, "failed"),
        ("error", 1, "wrong password"),
        ("welcome", 1, "welcome"),
        ("header", 0, "failed"),
    ] {
        let response = get(&app, 1, &format!("/login/{outcome}")).await;
        assert_eq!((&*response.body, response.numbers().unwrap()[1]), (body, remaining));
    }
    assert_eq!(statuses(&app, 1, "/login/welcome", 1).await, [429]);
    let inventory = guard.inventory();
    assert_eq!(inventory.limits()[0].count, None);
    assert!(inventory.to_string().contains("function"), "{inventory}");
}

#[actix_web::test]
async fn function_reads_the_response_to_an_error_of_an_inner_middleware() {
    let guard = RateGuard::in_memory();
    let is_bad_gateway = |response: &HttpResponse<()>| response.status() == StatusCode::BAD_GATEWAY;
    let limit = RateLimit::new(&guard, Limit::new("1/365d").count(is_bad_gateway));
    let fails = web::resource("/{status}").wrap_fn(|request, service| {
        let response = service.call(request);
        async {
            let response = response.await?;
            match response.status() {
                StatusCode::NOT_FOUND => Err(error::ErrorNotFound("no")),
                _ => Err::<ServiceResponse, _>(error::ErrorBadGateway("no")),
            }
        }
    });
    let respond = async |status: web::Path<u16>| response_with(*status);
    let app = init_service(App::new().service(fails.wrap(limit).to(respond))).await;
    assert_eq!(statuses(&app, 1, "/404", 3).await, [404, 404, 404]);
    assert_eq!(statuses(&app, 1, "/200", 2).await, [502, 429]);
}

/// Returns an error that can create its response only once.
fn single_use_error() -> actix_web::Error {
    let response = HttpResponse::Forbidden().insert_header(("X-Failed", "1")).body("wrong");
    error::InternalError::from_response("wrong", response).into()
}

#[actix_web::test]
async fn limit_in_shadow_reads_the_whole_response_to_an_error_of_an_inner_middleware() {
    let guard = RateGuard::in_memory();
    let is_failure = |response: &HttpResponse<()>| response.headers().contains_key("X-Failed");
    let limit = Limit::new("9/365d").name("shadow-error").shadow().count(is_failure);
    let fails = web::resource("/").wrap_fn(|request, service| {
        let response = service.call(request);
        async {
            response.await?;
            Err::<ServiceResponse, _>(single_use_error())
        }
    });
    let resource = fails.wrap(RateLimit::new(&guard, limit)).to(async || "ok");
    let app = init_service(App::new().service(resource)).await;
    let response = get(&app, 1, "/").await;
    assert_eq!((response.status, &*response.body), (403, "wrong"));
    assert_eq!(response.header("x-failed"), Some("1"));
    assert_eq!(remaining(&guard, "shadow-error", "9/365d").await, 8);
}

#[actix_web::test]
async fn outer_limit_reads_the_response_that_an_inner_limit_has_stored_in_an_error() {
    let inner = || Limit::new("9/365d").name("inner-error");
    for inner in [inner(), inner().shadow().count(|_: &HttpResponse<()>| true)] {
        let guard = RateGuard::in_memory();
        let outer = Limit::new("9/365d").name("outer-error").shadow().count("status:403");
        let fails = web::resource("/").wrap_fn(|request, service| {
            let response = service.call(request);
            async {
                response.await?;
                Err::<ServiceResponse, _>(single_use_error())
            }
        });
        let inner = RateLimit::new(&guard, inner);
        let resource = fails.wrap(inner).wrap(RateLimit::new(&guard, outer)).to(async || "ok");
        let app = init_service(App::new().service(resource)).await;
        let response = get(&app, 1, "/").await;
        assert_eq!((response.status, &*response.body), (403, "wrong"));
        assert_eq!(remaining(&guard, "outer-error", "9/365d").await, 8);
    }
}

/// Returns the remaining units of client 1.
async fn remaining(guard: &RateGuard, name: &'static str, quotas: &str) -> u32 {
    let client = key::ip().key_of("192.0.2.1").unwrap();
    guard.peek(&Policy::new(name, quotas).unwrap(), &client).await.unwrap().remaining()
}

#[test]
fn function_with_a_name_and_typed_setting_are_accepted() {
    fn never(_: &HttpResponse<()>) -> bool {
        false
    }
    let guard = RateGuard::in_memory();
    let typed: Count = "status:401,403".parse().unwrap();
    for limit in [Limit::new("1/minute").count(never), Limit::new("1/minute").count(typed)] {
        assert!(RateLimit::try_new(&guard, limit).is_ok());
    }
    let limit = Limit::new("1/minute").count("status:401,!401");
    let error = RateLimit::try_new(&guard, limit).unwrap_err().to_string();
    assert!(error.ends_with("not excluded, found `status:401,!401`"), "{error}");
}

/// The events of the handlers that never respond: `true` when a handler starts, and `false` when it is dropped.
static EVENTS: Mutex<Option<UnboundedSender<bool>>> = Mutex::new(None);

/// Reports when actix-web drops the handler.
struct ReportDrop;

impl Drop for ReportDrop {
    fn drop(&mut self) {
        report(false);
    }
}

fn report(event: bool) {
    if let Some(events) = &*EVENTS.lock().unwrap() {
        let _ = events.send(event);
    }
}

async fn never() -> &'static str {
    let _reporter = ReportDrop;
    report(true);
    std::future::pending().await
}

#[get("/attribute")]
#[rate_limit(rate = "1/365d", name = "never", count = "failure")]
async fn never_with_attribute() -> &'static str {
    never().await
}

#[actix_web::test]
async fn request_of_a_client_that_disconnects_counts() {
    let (sender, mut events) = unbounded_channel();
    *EVENTS.lock().unwrap() = Some(sender);
    let guard = RateGuard::in_memory();
    let server = HttpServer::new(move || {
        let rule = |_: &HttpResponse<()>| false;
        let limit = Limit::new("1/365d").name("never-with-middleware").count(rule);
        let limit = RateLimit::new(&guard, limit);
        let resource = web::resource("/middleware").wrap(limit).to(never);
        App::new().app_data(guard.clone()).service(never_with_attribute).service(resource)
    });
    // Without this setting, actix-web lets a handler continue after the client has closed its connection.
    let server = server.workers(1).h1_allow_half_closed(false).disable_signals();
    let server = server.bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    for path in ["/attribute", "/middleware"] {
        let mut client = TcpStream::connect(address).unwrap();
        write!(client, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        assert_eq!(events.recv().await, Some(true), "{path}");
        drop(client);
        assert_eq!(events.recv().await, Some(false), "{path}");
        let url = format!("http://{address}{path}");
        let response = web::block(move || server::get(&url)).await.unwrap();
        assert_eq!(response.status, 429, "{path}");
    }
    handle.stop(false).await;
}
