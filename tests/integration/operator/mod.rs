//! Tests of the operator endpoints and of the explanations.

mod agreement;
mod audit;
mod bodies;
mod consent;
mod counted_by;
mod explanations;
mod file;
mod hostile;
mod inventory;
mod operations;
mod read_only;
mod redis_down;
mod routes;
mod shadow;
mod shared_keys;

use actix_rateguard::{
    RateGuard,
    operator::{self, Endpoints},
};
use actix_web::{
    Error, HttpRequest,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    test::TestRequest,
    web,
};
use serde_json::Value;

use crate::support::app::{Response, send};

/// Returns the operator endpoints under the path `/operator`. They accept every request.
fn endpoints(guard: &RateGuard) -> actix_web::Scope {
    web::scope("/operator").service(unrestricted_endpoints(guard))
}

fn unrestricted_endpoints(guard: &RateGuard) -> Endpoints {
    operator::endpoints(guard).allow_if(|_: &HttpRequest| true)
}

async fn post<S, B>(app: &S, endpoint: &str, body: &Value) -> Response
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let request = TestRequest::post().uri(&format!("/operator/{endpoint}")).set_json(body);
    send(app, request).await
}

/// Sends a POST request with `body`, and returns the JSON of the response. The status of the response must be 200.
async fn post_json<S, B>(app: &S, endpoint: &str, body: &Value) -> Value
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let response = post(app, endpoint, body).await;
    assert_eq!(response.status, 200, "{}", response.body);
    parse_json(&response)
}

fn parse_json(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|_| panic!("{}", response.body))
}

/// Returns the explanation of a request as JSON.
async fn explain_json(guard: &RateGuard, request: TestRequest, limits: &[&str]) -> Value {
    let explanation = guard.explain_request(&request.to_http_request(), limits).await;
    serde_json::to_value(&explanation).unwrap()
}

/// Returns the explanation of the limit with this name. There must be exactly one such limit.
fn explanation_of<'a>(explanation: &'a Value, name: &str) -> &'a Value {
    let limits = explanation["limits"].as_array().unwrap();
    let mut matches = limits.iter().filter(|it| it["limit"]["name"] == name);
    let found = matches.next().unwrap_or_else(|| panic!("expected {name}, found {explanation}"));
    assert!(matches.next().is_none(), "found {name} twice");
    found
}
