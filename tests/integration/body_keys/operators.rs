//! Tests explanations and operator endpoints for limits whose key is in the body.

use actix_rateguard::{
    Limit, RateGuard, RateLimit,
    explain::{Exemption, Outcome, UnknownReason},
    key, operator,
};
use actix_web::{
    App, HttpRequest,
    http::Method,
    test::{TestRequest, init_service},
    web,
};
use serde_json::json;

use super::JSON;
use crate::support::app::send;

fn account_limit() -> Limit {
    Limit::new("1/hour").key("json:/email").methods("POST").name("op-account")
}

fn login(account: &str) -> TestRequest {
    let body = format!(r#"{{"email":"{account}"}}"#);
    TestRequest::post().uri("/").insert_header(("Content-Type", JSON)).set_payload(body)
}

#[actix_web::test]
async fn explanation_without_a_body_has_an_unknown_outcome() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    let limit = RateLimit::new(&guard, account_limit());
    let _app = init_service(App::new().wrap(limit).route("/", web::post().to(async || "ok"))).await;
    let explained = async |request: TestRequest| {
        let request = request.to_http_request();
        guard.explain_request(&request, &["op-account"]).await.limits()[0].clone()
    };
    let unknown = explained(login("ann")).await;
    assert_eq!(unknown.outcome, Outcome::Unknown(UnknownReason::Body));
    assert!(
        unknown
            .to_string()
            .ends_with("by json:/email: unknown: its key is in the body of the request"),
        "{unknown}"
    );
    assert_eq!(UnknownReason::Body.as_str(), "body");
    let exempt = explained(TestRequest::default().method(Method::GET)).await;
    assert_eq!(exempt.outcome, Outcome::Exempt(Exemption::Method));
}

/// Explains the request in its own handler.
async fn explain(request: HttpRequest, guard: web::Data<RateGuard>) -> String {
    guard.explain_request(&request, &["op-account"]).await.limits()[0].to_string()
}

#[actix_web::test]
async fn explanation_in_the_handler_uses_the_body_of_the_request() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    let app = App::new()
        .app_data(web::Data::new(guard.clone()))
        .wrap(RateLimit::new(&guard, account_limit()))
        .route("/", web::post().to(explain));
    let app = init_service(app).await;
    let explanation = send(&app, login("ann")).await.body;
    assert!(explanation.contains("denied: retry after"), "{explanation}");
}

#[actix_web::test]
async fn operator_resets_an_account_by_its_value() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    let endpoints = operator::endpoints(&guard).allow_if(|_: &HttpRequest| true);
    let limit = RateLimit::new(&guard, account_limit());
    let app = App::new()
        .service(web::scope("/operator").service(endpoints))
        .service(web::resource("/").wrap(limit).route(web::post().to(async || "ok")));
    let app = init_service(app).await;
    assert_eq!(
        [send(&app, login("ann")).await.status, send(&app, login("ann")).await.status],
        [200, 429]
    );
    let body = json!({"policy": "op-account", "by": "json:/email", "key": "ann"});
    let reset = TestRequest::post().uri("/operator/reset").set_json(&body);
    assert_eq!(send(&app, reset).await.status, 200);
    assert_eq!(send(&app, login("ann")).await.status, 200);
    assert!(
        key::json("/email")
            .key_of("ann")
            .is_some_and(|it| key::form("email").key_of("ann") != Some(it))
    );
}
