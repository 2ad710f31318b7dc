//! Tests the field `by`. With this field, an operator selects one of the key types that a limit uses.

use std::fs;

use actix_rateguard::{Limit, MissingKey, RateGuard, RateLimit, key, policies_file::Reloaded};
use actix_web::{App, HttpRequest, test::TestRequest, test::init_service, web};
use serde_json::json;

use super::{endpoints, parse_json, post, post_json};
use crate::support::{app::send, folder::Folder};

const NAME: &str = "op-by";

fn by_key(key: &str) -> Limit {
    let limit = Limit::new("2/365d").name(NAME).ban("9/hour for 1m");
    match key {
        "function" => limit.key(|_: &HttpRequest| "all"),
        "user, denied" => limit.key(key::user()).missing_key(MissingKey::Deny),
        key => limit.key(key),
    }
}

/// Sends a request with this value of `by` to each endpoint. All endpoints must return the same error, or no error.
/// Returns this error.
async fn rejection_of(keys: &[&str], by: &str) -> Option<String> {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    // The inventory has only one limit for each line of source code. Therefore the two limits are created on two
    // lines.
    let one = RateLimit::new(&guard, by_key(keys[0]));
    let other = RateLimit::new(&guard, by_key(keys[keys.len() - 1]));
    let app = App::new()
        .service(web::resource("/one").wrap(one))
        .service(web::resource("/other").wrap(other))
        .service(endpoints(&guard));
    let app = init_service(app).await;
    let mut body = json!({"policy": NAME, "by": by, "for_seconds": 60});
    match by {
        "ip" | "no_key" => body["address"] = "192.0.2.7".into(),
        _ if by.starts_with("ip/") => body["address"] = "2001:db8::1".into(),
        "global" => {}
        _ => body["key"] = vec!["a"; by.split('+').count()].into(),
    }
    let mut rejections = Vec::new();
    for endpoint in ["ban", "unban", "reset", "explain"] {
        if endpoint != "ban" {
            body.as_object_mut().unwrap().remove("for_seconds");
        }
        let response = post(&app, endpoint, &body).await;
        let detail = parse_json(&response)["detail"].as_str().map(str::to_owned);
        assert_eq!(response.status, if detail.is_some() { 400 } else { 200 }, "{}", response.body);
        rejections.push(detail);
    }
    assert!(rejections.iter().all(|it| *it == rejections[0]), "{keys:?} {by}: {rejections:?}");
    rejections.remove(0)
}

#[actix_web::test]
async fn key_type_of_a_limit_is_accepted() {
    for (keys, by) in [
        (&["ip"][..], "ip"),
        (&["ip"], "ip/64"),
        (&["ip/64"], "ip"),
        (&["ip/48", "ip"], "ip/48"),
        (&["header:X-Key"], "header:x-key"),
        (&["user+path:tenant"], "user+path:tenant"),
        (&["global"], "global"),
        (&["ip", "user"], "user"),
        // If a client has no key, the limit counts the client by address.
        (&["user"], "no_key"),
        (&["user"], "ip"),
        (&["user+path:tenant"], "ip"),
        // The guard cannot know the key type of a key function, nor of a check that has no HTTP request.
        (&["function"], "header:X-Key"),
        (&["function", "ip"], "user"),
        (&["ip"], "value"),
        (&["ip"], "parts"),
    ] {
        assert_eq!(rejection_of(keys, by).await, None, "{keys:?} {by}");
    }
}

#[actix_web::test]
async fn key_type_of_no_limit_is_rejected() {
    for (keys, by, expected) in [
        (&["ip"][..], "header:X-Key", "limits of this name (ip)"),
        (&["ip"], "user", "limits of this name (ip)"),
        (&["ip"], "ip/48", "limits of this name (ip)"),
        (&["ip"], "no_key", "limits of this name (ip)"),
        (&["global"], "no_key", "limits of this name (global)"),
        (&["ip"], "user+ip", "limits of this name (ip)"),
        (&["user+path:tenant"], "user", "limits of this name (user+path:tenant, no_key)"),
        (
            &["user+path:tenant"],
            "path:tenant+user",
            "limits of this name (user+path:tenant, no_key)",
        ),
        (&["user"], "ip/48", "limits of this name (user, no_key)"),
        (&["user, denied"], "ip", "limits of this name (user)"),
        (&["user, denied"], "no_key", "limits of this name (user)"),
    ] {
        let rejection = rejection_of(keys, by).await.unwrap_or_default();
        assert!(rejection.contains(expected), "{keys:?} {by}: {rejection}");
    }
}

#[actix_web::test]
async fn by_ip_selects_clients_without_a_key() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    let limit = RateLimit::new(&guard, by_key("header:X-Key"));
    let app = App::new()
        .service(web::resource("/").wrap(limit).to(async || "ok"))
        .service(endpoints(&guard));
    let app = init_service(app).await;
    let status = async || {
        let request = TestRequest::get().uri("/").peer_addr("192.0.2.7:1".parse().unwrap());
        send(&app, request).await.status
    };
    assert_eq!([status().await, status().await, status().await], [200, 200, 429]);
    let client = json!({"policy": NAME, "by": "ip", "address": "192.0.2.7"});
    assert_eq!(post_json(&app, "explain", &client).await["passes"], false);
    assert_eq!(post_json(&app, "reset", &client).await["by"], "no_key");
    assert_eq!(status().await, 200);
}

#[actix_web::test]
async fn accepted_key_type_follows_reload_of_the_file() {
    let folder = Folder::new();
    let file_with =
        |key: &str| format!("[policies.{NAME}]\nrate = \"2/minute\"\nkey = \"{key}\"\n");
    let path = folder.file("rateguard.toml", &file_with("header:X-Key"));
    let guard = RateGuard::builder()
        .policies_file(&path)
        .policies_file_interval(std::time::Duration::ZERO)
        .for_attributes(false)
        .build()
        .unwrap();
    let limit = RateLimit::new(&guard, Limit::policy(NAME).key(key::ip()));
    let app = init_service(App::new().wrap(limit).service(endpoints(&guard))).await;
    let body = json!({"policy": NAME, "by": "header:X-Key", "key": "ann"});
    post_json(&app, "reset", &body).await;
    fs::write(&path, file_with("user")).unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
    let response = post(&app, "reset", &body).await;
    assert_eq!(response.status, 400);
    assert!(response.body.contains("limits of this name (user, no_key)"), "{}", response.body);
}
