//! A login is limited by the address of the client, and by the account in the body of the request: one client cannot
//! try many accounts, and many clients together cannot try one account.
//!
//! ```sh
//! cargo run --example login_by_account
//! curl -i -d 'email=ann@example.com&password=wrong' 127.0.0.1:8080/login  # 401; the sixth request is a 429
//! curl -i -d 'email=ANN@example.com&password=wrong' 127.0.0.1:8080/login  # the same account, so also a 429
//! curl -i -d 'email=bob@example.com&password=wrong' 127.0.0.1:8080/login  # another account: 401
//! curl -i -d 'password=wrong' 127.0.0.1:8080/login                        # no account: 403
//! ```
//!
//! In a project of your own, this program also needs the dependency
//! `serde = { version = "1", features = ["derive"] }`.

use actix_rateguard::{RateGuard, key, rate_limit};
use actix_web::{App, HttpResponse, HttpServer, Responder, post, web};
use env_logger::Env;

#[derive(serde::Deserialize)]
struct Login {
    email: String,
    password: String,
}

/// Returns the account of a login. Two spellings of an address are one account.
fn account_of(body: &Login) -> String {
    body.email.trim().to_lowercase()
}

// One decision for both limits: a request takes units of both or of none. The limit by address is checked before the
// client sends its body.
#[post("/login")]
#[rate_limit(rate = "20/hour", on_error = "closed", name = "login-address")]
#[rate_limit(
    rate = "5/minute; 20/hour",
    key = key::form(account_of),
    missing_key = "deny",
    on_error = "closed",
    name = "login-account"
)]
async fn login(form: web::Form<Login>) -> impl Responder {
    if form.password == "right" {
        HttpResponse::Ok().body(format!("Welcome, {}.\n", form.email))
    } else {
        HttpResponse::Unauthorized().body("Wrong address or password.\n")
    }
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let guard = RateGuard::in_memory();
    HttpServer::new(move || App::new().app_data(guard.clone()).service(login))
        .bind(("127.0.0.1", 8080))?
        .run()
        .await
}
