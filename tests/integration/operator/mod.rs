//! What operators ask, and what they do.

mod agreement;
mod audit;
mod bodies;
mod consent;
mod counted_by;
mod explaining;
mod file;
mod hostile;
mod inventory;
mod outage;
mod routes;
mod shared_keys;
mod takes_nothing;
mod tried;
mod verbs;

use actix_web::{
    Error, HttpRequest,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    test::TestRequest,
    web,
};
use rateguard::{
    RateGuard,
    operator::{self, Endpoints},
};
use serde_json::Value;

use crate::support::app::{Answer, send};

/// The endpoints, for everybody.
fn endpoints(guard: &RateGuard) -> actix_web::Scope {
    web::scope("/operator").service(for_everybody(guard))
}

fn for_everybody(guard: &RateGuard) -> Endpoints {
    operator::endpoints(guard).allow_if(|_: &HttpRequest| true)
}

async fn post<S, B>(app: &S, endpoint: &str, body: &Value) -> Answer
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let request = TestRequest::post().uri(&format!("/operator/{endpoint}")).set_json(body);
    send(app, request).await
}

/// What an endpoint answers to this body, if nothing is wrong.
async fn told<S, B>(app: &S, endpoint: &str, body: &Value) -> Value
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let answer = post(app, endpoint, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    parsed(&answer)
}

fn parsed(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{}", answer.body))
}

/// The explanation of the limit of this name.
fn of_limit<'a>(explanation: &'a Value, name: &str) -> &'a Value {
    let limits = explanation["limits"].as_array().unwrap();
    let mut its = limits.iter().filter(|it| it["limit"]["name"] == name);
    let found = its.next().unwrap_or_else(|| panic!("no {name}: {explanation}"));
    assert!(its.next().is_none(), "{name} is there twice");
    found
}
