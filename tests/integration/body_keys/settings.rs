//! Tests the setting `max_key_body`, and keys in the body that the policies file sets.

use std::{fs, time::Duration};

use actix_rateguard::{
    BuildError, Limit, RateGuard, RateLimit, policies_file::Reloaded, rate_limit,
};
use actix_web::{
    App, post,
    test::{TestRequest, init_service},
    web,
};

use super::{FORM, JSON};
use crate::support::{
    app::{attribute_guard, from_client, send, set_attribute_guard},
    folder::Folder,
};

#[post("/attribute")]
#[rate_limit(policy = "body-file", limiter = attribute_guard())]
async fn attribute(body: web::Bytes) -> web::Bytes {
    body
}

fn login(path: &str, client: u8, media_type: &'static str, body: &'static str) -> TestRequest {
    let request = TestRequest::post().uri(path).insert_header(("Content-Type", media_type));
    from_client(client, request.set_payload(body))
}

const ANN: &str = r#"{"email":"ann"}"#;

#[actix_web::test]
async fn file_sets_a_key_in_the_body_and_its_bound() {
    let folder = Folder::new();
    let policy = |key: &str| {
        format!(
            "[guard]\nmax_key_body = 20\n\n[policies.body-file]\nrate = \"1/hour\"\nkey = \"{key}\"\nmissing_key = \"deny\"\n"
        )
    };
    let path = folder.file("rateguard.toml", &policy("json:/email"));
    let guard = RateGuard::builder().policies_file(&path).policies_file_interval(Duration::ZERO);
    let guard = guard.for_attributes(false).build().unwrap();
    set_attribute_guard(&guard);
    let limit = RateLimit::new(&guard, Limit::policy("body-file"));
    let app = init_service(
        App::new().service(attribute).service(
            web::resource("/middleware")
                .wrap(limit)
                .route(web::post().to(async |body: web::Bytes| body)),
        ),
    )
    .await;
    let status = async |path: &str, media_type, body| {
        send(&app, login(path, 1, media_type, body)).await.status
    };
    assert_eq!(status("/attribute", JSON, ANN).await, 200);
    assert_eq!(status("/middleware", JSON, ANN).await, 429);
    assert_eq!(status("/middleware", JSON, r#"{"email":"bob"}"#).await, 200);
    assert_eq!(status("/attribute", JSON, r#"{"email":"bob"}"#).await, 429);
    for path in ["/attribute", "/middleware"] {
        assert_eq!(status(path, JSON, r#"{"email":"cid"}      "#).await, 403, "{path}");
        assert_eq!(status(path, FORM, "email=cid").await, 403, "{path}");
    }
    fs::write(&path, policy("form:email")).unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
    assert_eq!(status("/middleware", FORM, "email=ann").await, 200);
    assert_eq!(status("/attribute", FORM, "email=ann").await, 429);
    assert_eq!(status("/attribute", JSON, ANN).await, 403);
}

#[test]
fn bound_is_validated_when_the_guard_is_built() {
    for (bytes, is_valid) in [(0, false), (1, true), (1 << 20, true), ((1 << 20) + 1, false)] {
        let built = RateGuard::builder().for_attributes(false).max_key_body(bytes).build();
        assert_eq!(built.is_ok(), is_valid, "{bytes}");
        if let Err(error) = built {
            assert!(matches!(error, BuildError::MaxKeyBody), "{error}");
            assert_eq!(
                error.to_string(),
                "max_key_body: expected a number of bytes from 1 to 1048576"
            );
        }
    }
}

#[actix_web::test]
async fn guard_without_a_body_key_reads_no_body() {
    let guard = RateGuard::in_memory();
    let app = App::new()
        .wrap(RateLimit::new(&guard, Limit::new("1/hour").name("no-body-key")))
        .route("/", web::post().to(async |body: web::Bytes| body));
    let app = init_service(app).await;
    assert_eq!(send(&app, login("/", 1, JSON, ANN)).await.body, ANN);
    assert_eq!(send(&app, login("/", 1, JSON, ANN)).await.status, 429);
}
