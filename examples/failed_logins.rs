//! Only failed logins count: five within a minute, however many are tried at once, and then even the right password waits.
//!
//! ```sh
//! cargo run --example failed_logins
//! curl -i -d 'name=ann&password=right' 127.0.0.1:8080/login  # 200, and nothing is taken
//! curl -i -d 'name=ann&password=wrong' 127.0.0.1:8080/login  # 401; the sixth is a 429
//! ```

use actix_web::{App, HttpResponse, HttpServer, Responder, post, web};
use env_logger::Env;
use rateguard::{RateGuard, rate_limit};

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
    env_logger::init_from_env(Env::default().default_filter_or("warn"));
    let guard = RateGuard::in_memory();
    HttpServer::new(move || App::new().app_data(guard.clone()).service(login))
        .bind(("127.0.0.1", 8080))?
        .run()
        .await
}
