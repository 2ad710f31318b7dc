//! A stricter limit in shadow mode, which counts but denies nothing, and a rollout that enforces it for a part of the
//! keys.
//!
//! ```sh
//! cargo run --example shadow
//! for i in 1 2 3 4 5; do curl -i 127.0.0.1:8080/search; done                  # 5 of 10 per minute: all pass
//! curl 127.0.0.1:8080/report                                                  # search: 3 allowed, 2 would be denied
//! for i in 1 2 3 4 5; do curl -i -X POST 127.0.0.1:8080/upload; done          # not limited, and without headers
//! curl 127.0.0.1:8080/report                                                  # upload: 2 allowed, 3 would be denied
//! for i in $(seq 40); do curl -si -H "X-Api-Key: $i" 127.0.0.1:8080/items | grep x-ratelimit-limit; done | sort | uniq -c
//! # about half of the keys have 3 per minute, always the same ones; the others have 10
//! ```

use actix_rateguard::{Limit, RateGuard, RateLimit, rate_limit};
use actix_web::{App, HttpServer, Responder, get, post, web};
use env_logger::Env;

/// `10/minute` is enforced, and `3/minute` is in shadow mode.
#[get("/search")]
#[rate_limit(rate = "10/minute", candidate = "3/minute", name = "search")]
async fn search() -> impl Responder {
    "Nothing found.\n"
}

/// The whole limit is in shadow mode.
#[post("/upload")]
#[rate_limit(rate = "2/minute", shadow = true, name = "upload")]
async fn upload() -> impl Responder {
    "Thank you.\n"
}

/// The decisions of all limits in shadow mode.
#[get("/report")]
async fn report(guard: web::Data<RateGuard>) -> String {
    let line = |counts: actix_rateguard::ShadowCounts| {
        format!(
            "{}: {} allowed, {} would be denied\n",
            counts.policy, counts.allowed, counts.would_deny
        )
    };
    guard.shadow_report().into_iter().map(line).collect()
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let guard = RateGuard::in_memory();

    let server = HttpServer::new(move || {
        // `3/minute` is enforced for half of the keys.
        let items = RateLimit::new(
            &guard,
            Limit::new("10/minute")
                .key("header:X-Api-Key")
                .name("items")
                .candidate("3/minute")
                .rollout(50),
        );
        let ok = web::get().to(async || "No items.\n");
        App::new()
            .app_data(web::Data::new(guard.clone()))
            .service(search)
            .service(upload)
            .service(report)
            .service(web::resource("/items").wrap(items).route(ok))
    });
    Ok(server.bind(("127.0.0.1", 8080))?.run().await?)
}
