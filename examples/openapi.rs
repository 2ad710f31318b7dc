//! An OpenAPI document in which each limited operation has its response 429, with the quotas, the header fields and the
//! body that the guard sends.
//!
//! ```sh
//! cargo run --example openapi
//! curl 127.0.0.1:8080/openapi.json
//! ```
//!
//! In a project of your own, this program also needs the feature `utoipa` of `actix-rateguard`, and the dependency
//! `utoipa = "5"`.

use actix_rateguard::{Limit, RateGuard, RateLimit, openapi::LimitResponses, rate_limit};
use actix_web::{App, HttpResponse, HttpServer, Responder, get, web};
use env_logger::Env;
use utoipa::{Modify, OpenApi};

/// Searches the catalogue.
#[utoipa::path(get, path = "/api/search", responses((status = 200, body = String)))]
#[get("/search")]
#[rate_limit(rate = "5/minute; 100/day", name = "search")] // below `utoipa::path`, which reads the arguments
async fn search() -> impl Responder {
    "Found nothing.\n"
}

#[derive(OpenApi)]
#[openapi(paths(search))]
struct Api;

/// Returns the document. A middleware does not know the path of its scope, so the program sets it.
async fn document(guard: web::Data<RateGuard>) -> impl Responder {
    let mut api = Api::openapi();
    LimitResponses::of(&guard).below("/api", "api").modify(&mut api);
    HttpResponse::Ok().json(api)
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let guard = RateGuard::in_memory();
    HttpServer::new(move || {
        let middleware = RateLimit::new(&guard, Limit::new("1000/hour").name("api"));
        App::new()
            .app_data(web::Data::new(guard.clone()))
            .service(web::scope("/api").wrap(middleware).service(search))
            .route("/openapi.json", web::get().to(document))
    })
    .bind(("127.0.0.1", 8080))?
    .run()
    .await
}
