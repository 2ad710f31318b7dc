//! Tests what an attacker can send so that the handler reads an account whose count another key has.

use actix_rateguard::{Limit, RateGuard, RateLimit, key};
use actix_web::{
    App,
    http::header::CONTENT_ENCODING,
    test::{TestRequest, init_service},
    web,
};
use serde::Deserialize;

use super::{FORM, JSON};
use crate::support::app::{from_client, send};

#[derive(Clone, Deserialize)]
struct Login {
    #[serde(alias = "mail")]
    email: String,
    #[serde(default)]
    #[allow(dead_code, reason = "its type matters to the parser")]
    id: u64,
}

/// Returns the account of a login with a type, of one that is any JSON, and of a form.
async fn json_account(login: web::Json<Login>) -> String {
    login.into_inner().email
}

async fn value_account(login: web::Json<serde_json::Value>) -> String {
    match &login["email"] {
        serde_json::Value::String(account) => account.clone(),
        account => account.to_string(),
    }
}

async fn form_account(login: web::Form<Login>) -> String {
    login.into_inner().email
}

/// Sends a login for `victim` and then this request, each from another address. Returns the status of the request, and
/// the account that the handler without a limit reads from it.
async fn attack(path: &str, key: &'static str, request: impl Fn() -> TestRequest) -> (u16, String) {
    let guard = RateGuard::in_memory();
    let limit = |name: &'static str| {
        match key {
            "function" if path == "form" => {
                Limit::new("1/hour").key(key::form(|it: &Login| it.email.clone()))
            }
            "function" => Limit::new("1/hour").key(key::json(|it: &Login| it.email.clone())),
            key => Limit::new("1/hour").key(key),
        }
        .missing_key("deny")
        .name(name)
    };
    let scope = |path: &str| {
        web::scope(path)
            .route("/json", web::post().to(json_account))
            .route("/value", web::post().to(value_account))
            .route("/form", web::post().to(form_account))
    };
    let app = init_service(
        App::new()
            .service(scope("/limited").wrap(RateLimit::new(&guard, limit("attack"))))
            .service(scope("/free")),
    )
    .await;
    let (media_type, body) = match path {
        "form" => (FORM, "email=victim"),
        _ => (JSON, r#"{"email":"victim"}"#),
    };
    let first = TestRequest::post().insert_header(("Content-Type", media_type)).set_payload(body);
    let first = send(&app, from_client(1, first.uri(&format!("/limited/{path}")))).await;
    assert_eq!((first.status, &*first.body), (200, "victim"));
    let limited = send(&app, from_client(2, request().uri(&format!("/limited/{path}")))).await;
    let free = send(&app, request().uri(&format!("/free/{path}"))).await;
    (limited.status, if free.status == 200 { free.body } else { String::new() })
}

fn request(media_type: &str, body: impl Into<web::Bytes>) -> TestRequest {
    TestRequest::post().insert_header(("Content-Type", media_type)).set_payload(body)
}

#[actix_web::test]
async fn spellings_of_an_account_in_json_share_its_count() {
    let nested = format!(r#"{{"x":{}{},"email":"victim"}}"#, "[".repeat(300), "]".repeat(300));
    for body in [
        r#"{"email":"\u0076ictim"}"#,
        r#"{"\u0065mail":"victim"}"#,
        " {\n\"email\"\t:\"victim\" } ",
        r#"{"email":"victim","other":"x","user":{"email":"x"}}"#,
        // A handler with a type ignores these members, whatever they contain.
        r#"{"x":1e999,"email":"victim"}"#,
        r#"{"x":"\ud800","email":"victim"}"#,
        &nested,
    ] {
        let attack = attack("json", "json:/email", || request(JSON, body.to_owned())).await;
        assert_eq!(attack, (429, "victim".to_owned()), "{body}");
    }
    let invalid = || request(JSON, &b"{\"x\":\"\xff\",\"email\":\"victim\"}"[..]);
    assert_eq!(attack("json", "json:/email", invalid).await, (429, "victim".to_owned()));
    let media_type = || request("Application/X+JSON; charset=utf-16", r#"{"email":"victim"}"#);
    assert_eq!(attack("json", "json:/email", media_type).await, (429, "victim".to_owned()));
}

#[actix_web::test]
async fn duplicate_members_count_as_the_handler_reads_them() {
    let last = || request(JSON, r#"{"email":"other","email":"victim"}"#);
    assert_eq!(attack("value", "json:/email", last).await, (429, "victim".to_owned()));
    // A handler with a type rejects duplicates, so the request gets no account.
    assert_eq!(attack("json", "json:/email", last).await, (429, String::new()));
    let first = || request(JSON, r#"{"email":"victim","email":"other"}"#);
    assert_eq!(attack("value", "json:/email", first).await, (200, "other".to_owned()));
    assert_eq!(attack("json", "json:/email", first).await, (400, String::new()));
}

#[actix_web::test]
async fn numbers_and_their_texts_share_a_count() {
    let guard = RateGuard::in_memory();
    let limit = Limit::new("1/hour").key("json:/id").missing_key("deny").name("number");
    let app = init_service(
        App::new().wrap(RateLimit::new(&guard, limit)).route("/", web::post().to(async || "ok")),
    )
    .await;
    for (id, expected) in [
        ("1", 200),
        ("1.0", 429),
        ("1e0", 429),
        ("\"1\"", 429),
        ("01", 403),
        ("true", 403),
        ("2", 200),
    ] {
        let request = request(JSON, format!(r#"{{"id":{id}}}"#));
        assert_eq!(send(&app, request).await.status, expected, "{id}");
    }
}

#[actix_web::test]
async fn spellings_of_an_account_in_a_form_share_its_count() {
    for body in [
        &b"email=victim&x=1"[..],
        b"&&email=victim",
        b"%65mail=%76ictim",
        b"email=victim&x=\xff",
        b"email=victim&x=%ff&%",
    ] {
        for key in ["form:email", "function"] {
            let attack = attack("form", key, || request(FORM, body)).await;
            assert_eq!(attack, (429, "victim".to_owned()), "{body:?} {key}");
        }
    }
    let duplicate = || request(FORM, "email=other&email=victim");
    assert_eq!(attack("form", "form:email", duplicate).await, (429, String::new()));
    let media_type = || request("APPLICATION/x-www-form-urlencoded; charset=utf8", "email=victim");
    assert_eq!(attack("form", "form:email", media_type).await, (429, "victim".to_owned()));
}

#[actix_web::test]
async fn account_that_the_key_does_not_find_is_denied() {
    let padded = format!("{}{}", " ".repeat(9_000), r#"{"email":"victim"}"#);
    // The handler of this test reads the account of each of these requests.
    let charset = "application/x-www-form-urlencoded; charset=windows-1252";
    for (path, key, media_type, body) in [
        ("json", "json:/email", JSON, padded.as_str()),
        ("json", "json:/email", JSON, r#"{"mail":"victim"}"#),
        ("json", "json:/email", JSON, r#"["victim"]"#),
        ("form", "form:email", FORM, "mail=victim"),
        ("form", "form:email", charset, "email=victim"),
    ] {
        let attack = attack(path, key, || request(media_type, body.to_owned())).await;
        assert_eq!(attack, (403, "victim".to_owned()), "{body}");
    }
}

#[actix_web::test]
async fn function_gets_the_same_account_as_the_handler() {
    for body in
        [r#"{"mail":"victim"}"#, r#"["victim",7]"#, r#"{"email":"victim","id":7,"x":1e999}"#]
    {
        let attack = attack("json", "function", || request(JSON, body)).await;
        assert_eq!(attack, (429, "victim".to_owned()), "{body}");
    }
    let alias = || request(FORM, "mail=victim");
    assert_eq!(attack("form", "function", alias).await, (429, "victim".to_owned()));
}

#[actix_web::test]
async fn compressed_body_has_no_key() {
    // This body is a form with the account `other`, and its decompressed form would have the account `victim`.
    let compressed = || request(FORM, "email=other").insert_header((CONTENT_ENCODING, "deflate"));
    assert_eq!(attack("form", "form:email", compressed).await.0, 403);
    let identity = || request(FORM, "email=victim").insert_header((CONTENT_ENCODING, "identity"));
    assert_eq!(attack("form", "form:email", identity).await, (429, "victim".to_owned()));
}
