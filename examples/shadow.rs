//! A tighter limit that is tried before anybody is refused by it, and then enforced for a part of the callers.
//!
//! ```sh
//! cargo run --example shadow
//! for i in 1 2 3 4 5; do curl -i 127.0.0.1:8080/search; done                  # 5 of 10 in a minute: all pass
//! curl 127.0.0.1:8080/report                                                  # search: 3 allowed, 2 would be denied
//! for i in 1 2 3 4 5; do curl -i -X POST 127.0.0.1:8080/upload; done          # no limit yet, and no header tells of one
//! curl 127.0.0.1:8080/report                                                  # upload: 2 allowed, 3 would be denied
//! for i in $(seq 40); do curl -si -H "X-Api-Key: $i" 127.0.0.1:8080/items | grep x-ratelimit-limit; done | sort | uniq -c
//! # about half of the keys have 3 a minute already, the others 10; the same ones each time
//! ```

use actix_web::{App, HttpServer, Responder, get, post, web};
use env_logger::Env;
use rateguard::{RateGuard, RateLimit, key, rate_limit};

/// `3/minute` is tried beside `10/minute`.
#[get("/search")]
#[rate_limit(rate = "10/minute", shadow = "3/minute", name = "search")]
async fn search() -> impl Responder {
    "Nothing found, but you may ask.\n"
}

/// All of the limit is tried.
#[post("/upload")]
#[rate_limit(rate = "2/minute", shadow = true, name = "upload")]
async fn upload() -> impl Responder {
    "Thank you.\n"
}

/// What it would have done, for whoever decides whether it shall.
#[get("/report")]
async fn report(guard: web::Data<RateGuard>) -> String {
    let line = |counts: rateguard::ShadowCounts| {
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
        let items = RateLimit::new(&guard, "10/minute")
            .by(key::header("X-Api-Key"))
            .name("items")
            .candidate("3/minute")
            .rollout(50);
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
