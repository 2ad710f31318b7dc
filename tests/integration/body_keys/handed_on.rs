//! Tests that the handler gets the whole body, whatever RateGuard has read of it.

use actix_http::error::PayloadError;
use actix_rateguard::{Limit, RateGuard, RateLimit, key, rate_limit};
use actix_web::{
    App,
    dev::{Payload, Service},
    post,
    test::{TestRequest, init_service, read_body},
    web,
};
use futures_util::{StreamExt, stream};

use super::{FORM, JSON, echo, servers};
use crate::support::{app::attribute_guard, redis_server::RedisServer, server::post as send};

#[post("/attribute")]
#[rate_limit(rate = "100/hour", key = key::form("email"), name = "handed-on-attribute", limiter = attribute_guard())]
async fn attribute(body: web::Bytes) -> web::Bytes {
    body
}

#[test]
fn handler_gets_bodies_of_every_length() {
    let redis = RedisServer::start();
    let servers = servers(&redis, "handed-on", |guard, app| {
        let limit = |name: &'static str, key: &str| Limit::new("100/hour").key(key).name(name);
        app.app_data(web::PayloadConfig::new(1 << 20)).service(attribute);
        let limits =
            [limit("handed-on-json", "json:/email"), limit("handed-on-form", "ip+form:email")];
        echo(guard, app, limits);
    });
    for length in [0_usize, 8_191, 8_192, 8_193, 100_000, 1_000_000] {
        let padded = |start: &str, padding: &str| {
            format!("{start}{}", padding.repeat(length.saturating_sub(start.len())))
        };
        let (json, form) = (padded(r#"{"email":"ann"}"#, " "), padded("email=ann&x=", "x"));
        for path in ["/", "/attribute"] {
            for (media_type, body) in [(JSON, &json), (FORM, &form), ("text/plain", &json)] {
                let response = send(&servers[length % 2].url(path), media_type, body);
                assert_eq!(response.status, 200, "{path} {media_type} {length}");
                assert!(response.body == *body, "{path} {media_type} {length}");
            }
        }
    }
}

/// Returns the chunks and the error that the handler reads.
async fn chunks(payload: web::Payload) -> String {
    let chunk = |chunk: Result<web::Bytes, PayloadError>| match chunk {
        Ok(bytes) => format!("{bytes:?}"),
        Err(error) => format!("error: {error}"),
    };
    payload.map(chunk).collect::<Vec<_>>().await.join(", ")
}

#[actix_web::test]
async fn handler_gets_the_error_of_an_incomplete_body() {
    let guard = RateGuard::in_memory();
    let limit = Limit::new("2/hour").key("json:/email").name("handed-on-error");
    let app = App::new().wrap(RateLimit::new(&guard, limit)).route("/", web::post().to(chunks));
    let app = init_service(app).await;
    let send = async |body: Vec<Result<&'static str, PayloadError>>| {
        let request = TestRequest::post().insert_header(("Content-Type", JSON)).to_request();
        let body =
            stream::iter(body).map(|chunk| chunk.map(|it| web::Bytes::from_static(it.as_bytes())));
        let (request, _) = request.replace_payload(Payload::Stream { payload: body.boxed_local() });
        let response = app.call(request).await.unwrap();
        let status = response.status().as_u16();
        (status, String::from_utf8(read_body(response).await.to_vec()).unwrap())
    };
    let lost = || Err(PayloadError::Incomplete(None));
    let expected = format!("b\"{{\\\"em\", error: {}", PayloadError::Incomplete(None));
    assert_eq!(send(vec![Ok("{\""), Ok("em"), lost()]).await, (200, expected));
    // The incomplete body has counted by address, and so does the next one.
    assert_eq!(send(vec![lost()]).await.0, 200);
    assert_eq!(send(vec![Ok("{}")]).await.0, 429);
    assert_eq!(send(vec![Ok(r#"{"email":"#), Ok(r#""ann"}"#)]).await.0, 200);
}
