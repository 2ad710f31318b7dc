//! Only failed logins count: at most five per minute, also of concurrent requests. After five failures, the right
//! password is rejected, too.
//!
//! ```sh
//! cargo run --example failed_logins
//! curl -i -d 'name=ann&password=right' 127.0.0.1:8080/login  # 200, not counted
//! curl -i -d 'name=ann&password=wrong' 127.0.0.1:8080/login  # 401; the sixth request is a 429
//! ```
//!
//! In a project of your own, this program also needs the dependency
//! `serde = { version = "1", features = ["derive"] }`.

use actix_rateguard::{RateGuard, rate_limit};
use actix_web::{App, HttpResponse, HttpServer, Responder, post, web};
use env_logger::Env;

#[derive(serde::Deserialize)]
struct Login {
    name: String,
    password: String,
}

#[post("/login")]
#[rate_limit(rate = "5/minute; 20/hour", count = "status:401", on_error = "closed")]
async fn login(form: web::Form<Login>) -> impl Responder {
    if form.password == "right" {
        HttpResponse::Ok().body(format!("Welcome, {}.\n", form.name))
    } else {
        HttpResponse::Unauthorized().body("Wrong name or password.\n")
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
