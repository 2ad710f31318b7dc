//! Limits in a file, `examples/rateguard.toml`, which can be changed while the server runs.
//!
//! ```sh
//! cargo run --example policies_file
//! for i in 1 2 3 4 5 6; do curl -i 127.0.0.1:8080/search; done  # 5 per minute
//! sed -i 's|"5/minute"|"7/minute"|' examples/rateguard.toml     # then wait for two seconds
//! for i in 1 2 3; do curl -i 127.0.0.1:8080/search; done        # 2 more, because the first 5 still count
//! sed -i 's|"7/minute"|"7/minut"|' examples/rateguard.toml      # rejected, with a reason in the log
//! curl -i 127.0.0.1:8080/search                                 # still 7 per minute
//! curl -i -H 'X-Account: pro-7' 127.0.0.1:8080/report           # the plans are also in the file
//! git checkout examples/rateguard.toml
//! ```
//!
//! In a project of your own, this program also needs the feature `config` of `actix-rateguard`.

use actix_rateguard::{Plan, RateGuard, rate_limit};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Responder, get, post};
use env_logger::Env;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rateguard.toml");

#[get("/search")]
#[rate_limit(policy = "search")]
async fn search() -> impl Responder {
    "Nothing found.\n"
}

#[post("/login")]
#[rate_limit(policy = "login")]
async fn login(password: String) -> impl Responder {
    if password == "right" { HttpResponse::Ok() } else { HttpResponse::Unauthorized() }
}

/// A placeholder for the application's accounts.
fn plan_of(request: &HttpRequest) -> Plan {
    match request.headers().get("X-Account").map(|account| account.as_bytes()) {
        Some(account) if account.starts_with(b"pro-") => Plan::named("pro"),
        Some(account) if account.starts_with(b"staff-") => Plan::named("staff"),
        _ => Plan::named("free"),
    }
}

#[get("/report")]
#[rate_limit(plan = plan_of, key = "header:X-Account", name = "report")]
async fn report() -> impl Responder {
    "The report of your account.\n"
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    // At startup, an invalid file is an error.
    let guard = RateGuard::builder().policies_file(FILE).build().map_err(|it| it.to_string())?;
    let server = HttpServer::new(move || {
        App::new().app_data(guard.clone()).service(search).service(login).service(report)
    });
    Ok(server.bind(("127.0.0.1", 8080))?.run().await?)
}
