//! Endpoints for operators, behind the application's own authentication: they list the limits, explain decisions, and
//! reset, ban or unban a key.
//!
//! ```sh
//! OPERATOR_TOKEN=a-long-secret cargo run --example operator
//! for i in 1 2 3 4 5 6; do curl -i -d '' 127.0.0.1:8080/login; done   # the sixth request is a 429
//!
//! curl -i 127.0.0.1:8080/operator/inventory                           # 403
//! alias operator='curl -H "Authorization: Bearer a-long-secret" -H "Content-Type: application/json"'
//! operator 127.0.0.1:8080/operator/inventory
//! operator 127.0.0.1:8080/operator/health
//! operator 127.0.0.1:8080/operator/explain -d '{"policy": "login", "address": "127.0.0.1"}'
//! operator 127.0.0.1:8080/operator/reset -d '{"policy": "login", "address": "127.0.0.1"}'
//! operator 127.0.0.1:8080/operator/ban -d '{"policy": "login", "address": "127.0.0.1", "for_seconds": 600}'
//! operator 127.0.0.1:8080/operator/unban -d '{"policy": "login", "address": "127.0.0.1"}'
//! ```
//!
//! In a project of your own, this program also needs the feature `operator` of `actix-rateguard`.

use std::env;

use actix_rateguard::{ClientAddress, Limit, RateGuard, RateLimit, operator, rate_limit};
use actix_web::{App, HttpRequest, HttpServer, http::header::AUTHORIZATION, post, web};
use env_logger::Env;

#[post("/login")]
#[rate_limit(rate = "5/minute", key = "ip", ban = "20/hour for 15m up to 1d", name = "login")]
async fn login() -> &'static str {
    "Welcome.\n"
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let token = env::var("OPERATOR_TOKEN")
        .map_err(|_| "set OPERATOR_TOKEN to the token of the operators")?;
    let guard =
        RateGuard::builder().client_address(ClientAddress::behind(["10.0.0.0/24"])?).build()?;
    HttpServer::new(move || {
        let token = format!("Bearer {token}");
        let endpoints = operator::endpoints(&guard)
            .allow_if(move |request: &HttpRequest| is_operator(request, &token));
        // Without this exception, an operator that is denied by this limit could not find out why.
        let everything = RateLimit::new(
            &guard,
            Limit::new("100/minute")
                .skip(|request: &HttpRequest| request.path().starts_with("/operator/")),
        );
        App::new()
            .app_data(guard.clone())
            .wrap(everything)
            .service(login)
            .service(web::scope("/operator").service(endpoints))
    })
    .bind(("127.0.0.1", 8080))?
    .run()
    .await?;
    Ok(())
}

fn is_operator(request: &HttpRequest, expected: &str) -> bool {
    let given = request.headers().get(AUTHORIZATION);
    given.is_some_and(|given| operator::token_matches(given, expected))
}
