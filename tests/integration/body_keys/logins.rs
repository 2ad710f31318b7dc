//! Tests limits of a login by the address and by the account.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use actix_rateguard::{Caller, Limit, Plan, RateLimit, key, rate_limit};
use actix_web::{HttpRequest, Responder, error::ErrorBadRequest, post, web};
use serde::Deserialize;

use super::{FORM, JSON, address_and_account, echo, login, servers};
use crate::support::{app::attribute_guard, redis_server::RedisServer, server::post as send};

#[derive(Deserialize)]
struct Login {
    email: String,
}

#[post("/text")]
#[rate_limit(rate = "3/hour", name = "text-address", limiter = attribute_guard())]
#[rate_limit(
    rate = "2/hour",
    key = "json:/email",
    missing_key = "deny",
    name = "text-account",
    limiter = attribute_guard()
)]
async fn by_text(login: web::Json<Login>) -> String {
    login.into_inner().email
}

#[post("/function")]
#[rate_limit(
    rate = "2/hour",
    key = key::method().and(key::form(|login: &Login| login.email.to_lowercase())),
    missing_key = "deny",
    name = "function-account",
    limiter = attribute_guard()
)]
async fn by_function(login: web::Form<Login>) -> String {
    login.into_inner().email
}

#[test]
fn servers_limit_an_account_and_an_address_in_one_decision() {
    let redis = RedisServer::start();
    let servers = servers(&redis, "logins", |guard, app| {
        echo(guard, app, address_and_account());
    });
    assert_eq!(login(&servers[0], "ann").status, 200);
    assert_eq!(login(&servers[1], "ann").status, 200);
    // The denials of the account take nothing from the address, so one request of the address is left.
    for server in &servers {
        let denied = login(server, "ann");
        assert_eq!((denied.status, denied.header("x-ratelimit-limit")), (429, Some("2")));
    }
    assert_eq!(login(&servers[0], "bob").status, 200);
    // The denial of the address takes nothing from the account.
    assert_eq!(login(&servers[1], "bob").number("x-ratelimit-limit"), 3);
    assert_eq!(login(&servers[1], "cid").status, 429);
}

#[test]
fn attributes_limit_an_account_by_text_and_by_function() {
    let redis = RedisServer::start();
    let servers = servers(&redis, "login-attributes", |_, app| {
        app.service((by_text, by_function));
    });
    let text = |server: usize, account: &str| {
        send(&servers[server].url("/text"), JSON, &format!(r#"{{"email":"{account}"}}"#))
    };
    assert_eq!(text(0, "ann").body, "ann");
    assert_eq!([text(1, "ann").status, text(0, "ann").status], [200, 429]);
    assert_eq!([text(1, "bob").status, text(0, "bob").status], [200, 429]);
    assert_eq!(send(&servers[0].url("/text"), FORM, "email=ann").status, 429);

    let function = |server: usize, account: &str| {
        send(&servers[server].url("/function"), FORM, &format!("email={account}"))
    };
    assert_eq!(function(0, "Ann").body, "Ann");
    assert_eq!([function(1, "ANN").status, function(0, "ann").status], [200, 429]);
    assert_eq!(function(1, "bob").status, 200);
    assert_eq!(send(&servers[0].url("/function"), JSON, r#"{"email":"dan"}"#).status, 403);
}

#[test]
fn missing_key_applies_to_bodies_without_the_account() {
    let redis = RedisServer::start();
    let servers = servers(&redis, "login-missing", |guard, app| {
        let account = |name: &'static str| Limit::new("1/hour").key("json:/email").name(name);
        let skipped = RateLimit::new(guard, account("skipped").missing_key("skip"));
        let body = async |body: web::Bytes| body;
        echo(guard, app, [account("counted")]);
        app.service(web::resource("/skip").wrap(skipped).route(web::post().to(body)));
    });
    // Such requests of an address share one count, on both servers.
    for (media_type, body, expected) in [
        (JSON, r#"{"user":"ann"}"#, 200),
        (JSON, r#"{"email":"ann"}"#, 200),
        (JSON, "{not json", 429),
        (JSON, "", 429),
        (FORM, "email=ann", 429),
        ("text/plain", r#"{"email":"ann"}"#, 429),
        (JSON, r#"{"email":"ann"}"#, 429),
    ] {
        let first = send(&servers[0].url("/"), media_type, body);
        assert_eq!(first.status, expected, "{media_type} {body}");
        assert_eq!(send(&servers[1].url("/"), media_type, body).status, 429, "{body}");
        assert_eq!(send(&servers[1].url("/skip"), media_type, "{}").status, 200);
    }
}

static SKIPS: AtomicUsize = AtomicUsize::new(0);
static PLANS: AtomicUsize = AtomicUsize::new(0);

/// Simulates a query of the plan of a client.
async fn plan(_: &HttpRequest) -> Plan {
    PLANS.fetch_add(1, SeqCst);
    actix_web::rt::task::yield_now().await;
    Plan::of("5/hour")
}

fn skip(request: &HttpRequest) -> bool {
    SKIPS.fetch_add(1, SeqCst);
    request.query_string() == "skip"
}

fn account(login: &Login) -> Result<Caller, actix_web::Error> {
    match &*login.email {
        "" => Err(ErrorBadRequest("no account")),
        "ourselves" => Ok(Caller::Exempt),
        account => Ok(Caller::Known(account.into())),
    }
}

#[post("/async")]
#[rate_limit(plan = plan, key = "ip", name = "async-address", limiter = attribute_guard())]
#[rate_limit(rate = "2/hour", key = key::json(account), skip = skip, name = "async-account", limiter = attribute_guard())]
async fn with_functions() -> impl Responder {
    "ok"
}

#[test]
fn functions_of_limits_run_once_and_may_exempt_and_fail() {
    let redis = RedisServer::start();
    let servers = servers(&redis, "login-functions", |guard, app| {
        let address = Limit::plan(plan).name("middleware-address");
        let account = Limit::new("2/hour").key(key::json(account)).skip(skip);
        app.service(with_functions);
        echo(guard, app, [address, account.name("middleware-account")]);
    });
    for path in ["/", "/async"] {
        let status = |server: usize, query: &str, account: &str| {
            let url = servers[server].url(&format!("{path}{query}"));
            send(&url, JSON, &format!(r#"{{"email":"{account}"}}"#)).status
        };
        let (skips, plans) = (SKIPS.load(SeqCst), PLANS.load(SeqCst));
        assert_eq!(status(0, "", "ann"), 200);
        assert_eq!((SKIPS.load(SeqCst) - skips, PLANS.load(SeqCst) - plans), (1, 1), "{path}");
        assert_eq!([status(1, "", "ann"), status(0, "", "ann")], [200, 429]);
        assert_eq!([status(1, "", "ourselves"), status(0, "?skip", "ann")], [200, 200]);
        assert_eq!(status(0, "", ""), 400);
        assert_eq!([status(0, "", "bob"), status(1, "", "bob")], [200, 429], "{path}");
    }
}
