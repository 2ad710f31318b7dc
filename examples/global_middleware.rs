//! A middleware for the whole application, and a stricter one for a scope.
//!
//! ```sh
//! cargo run --example global_middleware
//! curl -i 127.0.0.1:8080/            # 100 per minute
//! curl -i 127.0.0.1:8080/api/report  # 3 in 10 seconds; these also count towards the 100
//! ```

use actix_rateguard::{Limit, RateGuard, RateLimit};
use actix_web::{App, HttpServer, web};
use env_logger::Env;

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let guard = RateGuard::in_memory();
    HttpServer::new(move || {
        App::new()
            .route("/", web::get().to(async || "Hello.\n"))
            .service(
                web::scope("/api")
                    .wrap(RateLimit::new(&guard, Limit::new("3/10s").name("api")))
                    .route("/report", web::get().to(async || "All is well.\n")),
            )
            .wrap(RateLimit::new(&guard, "100/minute"))
    })
    .bind(("127.0.0.1", 8080))?
    .run()
    .await
}
