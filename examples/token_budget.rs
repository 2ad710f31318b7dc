//! A token budget for each tenant. The cost of an answer is only determined when it is complete, so the handler
//! reserves the maximum and then settles.
//!
//! ```sh
//! cargo run --example token_budget
//! curl -i -H 'X-Tenant: acme' -d 'Tell me a story' 127.0.0.1:8080/generate
//! ```

use actix_rateguard::{Key, Policy, RateGuard};
use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, error::ErrorServiceUnavailable, post, web,
};
use env_logger::Env;

/// The maximum number of tokens of an answer.
const MAX_TOKENS: u32 = 1_000;

/// A placeholder for a language model. Returns the answer and the number of tokens.
async fn model(prompt: &str) -> (String, u32) {
    let answer = format!("This is an answer to: {prompt}");
    let tokens = answer.split_whitespace().count();
    (answer, u32::try_from(tokens).unwrap_or(MAX_TOKENS))
}

#[post("/generate")]
async fn generate(
    request: HttpRequest,
    prompt: String,
    guard: web::Data<RateGuard>,
    budget: web::Data<Policy>,
) -> actix_web::Result<HttpResponse> {
    let tenant = request.headers().get("X-Tenant").map_or(&b"anonymous"[..], |it| it.as_bytes());
    let tenant = Key::from(tenant);
    let reservation = guard.request(&budget, &tenant).cost(MAX_TOKENS).reserve().await;
    let reservation = reservation.map_err(ErrorServiceUnavailable)?;
    if !reservation.decision().is_allowed() {
        return Ok(HttpResponse::TooManyRequests().body("The budget is used up.\n"));
    }
    let (answer, used) = model(&prompt).await;
    let decision = reservation.settle(used).await.map_err(ErrorServiceUnavailable)?;
    Ok(HttpResponse::Ok()
        .body(format!("{answer}\n{used} tokens used, {} left.\n", decision.remaining())))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let guard = web::Data::new(RateGuard::in_memory());
    let budget = web::Data::new(Policy::new("tokens", "2000/hour token_bucket")?);
    let server = HttpServer::new(move || {
        App::new().app_data(guard.clone()).app_data(budget.clone()).service(generate)
    });
    Ok(server.bind(("127.0.0.1", 8080))?.run().await?)
}
