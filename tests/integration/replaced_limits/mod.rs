//! Tests handlers that replace the limits of middlewares, and exempt routes.

mod bypass;
mod learned_routes;
mod servers;

use actix_http::Request;
use actix_rateguard::{Limit, rate_limit};
use actix_web::{
    Error, Responder,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    get,
    test::{TestRequest, call_service},
};

#[get("/health")]
#[rate_limit(exempt)]
async fn health() -> impl Responder {
    "healthy"
}

#[get("/items/{id}")]
async fn items() -> impl Responder {
    "ok"
}

/// Returns the statuses of GET requests to this path.
async fn get_all<B: MessageBody>(
    app: &impl Service<Request, Response = ServiceResponse<B>, Error = Error>,
    path: &str,
    times: usize,
) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        let request = TestRequest::with_uri(path).to_request();
        statuses.push(call_service(app, request).await.status().as_u16());
    }
    statuses
}

fn global(name: &'static str, rate: &'static str) -> Limit {
    Limit::new(rate).key("global").name(name)
}
