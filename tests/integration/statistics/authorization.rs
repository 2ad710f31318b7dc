//! Tests the token that authorizes requests to the operator endpoints.

use actix_rateguard::{RateGuard, operator};
use actix_web::{HttpRequest, web};

use super::{TOKEN, send};
use crate::support::server::{Server, get};

#[test]
fn token_authorizes_tools_and_browsers() {
    let guard = RateGuard::in_memory();
    let server = Server::start(move |app| {
        let endpoints = operator::endpoints(&guard).allow_token(TOKEN);
        app.service(web::scope("/operator").service(endpoints));
    });
    // `ann:statistics-token` and `:statistics-token`
    let browsers = ["Basic YW5uOnN0YXRpc3RpY3MtdG9rZW4=", "Basic OnN0YXRpc3RpY3MtdG9rZW4="];
    for header in browsers.map(str::to_owned).into_iter().chain([format!("Bearer {TOKEN}")]) {
        assert_eq!(send(&server, "health", &header).status, 200, "{header}");
    }
    let without = get(&server.url("/operator/health"));
    let wrong = [send(&server, "health", "Bearer wrong"), send(&server, "health", TOKEN)];
    for response in [without].into_iter().chain(wrong) {
        assert_eq!(response.status, 401);
        let challenge = response.header("www-authenticate");
        assert_eq!(challenge, Some("Basic realm=\"RateGuard operator\""));
        assert!(!response.body.contains(TOKEN));
    }
}

#[test]
fn request_needs_the_token_and_the_consent_of_the_function() {
    let guard = RateGuard::in_memory();
    let server = Server::start(move |app| {
        let endpoints = operator::endpoints(&guard)
            .allow_token(TOKEN)
            .allow_if(|request: &HttpRequest| request.query_string() == "right");
        app.service(web::scope("/operator").service(endpoints));
        let closed = operator::endpoints(&guard).allow_token("");
        app.service(web::scope("/closed").service(closed));
    });
    let statuses = ["health?right", "health"].map(|endpoint| {
        [format!("Bearer {TOKEN}"), "Bearer x".to_owned()]
            .map(|header| send(&server, endpoint, &header).status)
    });
    assert_eq!(statuses, [[200, 401], [403, 401]]);
    assert_eq!(get(&server.url("/closed/health")).status, 401);
}
