//! Whom operators mean by `by`, which is somebody whom a limit counts.

use std::fs;

use actix_web::{App, HttpRequest, test::TestRequest, test::init_service, web};
use rateguard::{MissingKey, RateGuard, RateLimit, Reloaded, key};
use serde_json::json;

use super::{endpoints, parsed, post, told};
use crate::support::{app::send, folder::Folder};

const NAME: &str = "op-by";

fn by_key(limit: RateLimit, key: &str) -> RateLimit {
    let limit = limit.name(NAME).ban("9/hour for 1m");
    match key {
        "function" => limit.by(|_: &HttpRequest| "everybody"),
        "user, denied" => limit.by(key::user()).missing_key(MissingKey::Deny),
        key => limit.by(key::notation(key)),
    }
}

/// What each endpoint says to who is meant by this, if it refuses.
async fn refused(keys: &[&str], by: &str) -> Option<String> {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    // Of those that are written in one place, the inventory has the last one.
    let one = by_key(RateLimit::new(&guard, "2/365d"), keys[0]);
    let other = by_key(RateLimit::new(&guard, "2/365d"), keys[keys.len() - 1]);
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
    let mut refusals = Vec::new();
    for endpoint in ["ban", "unban", "reset", "explain"] {
        if endpoint != "ban" {
            body.as_object_mut().unwrap().remove("for_seconds");
        }
        let answer = post(&app, endpoint, &body).await;
        let detail = parsed(&answer)["detail"].as_str().map(str::to_owned);
        assert_eq!(answer.status, if detail.is_some() { 400 } else { 200 }, "{}", answer.body);
        refusals.push(detail);
    }
    assert!(refusals.iter().all(|it| *it == refusals[0]), "{keys:?} {by}: {refusals:?}");
    refusals.remove(0)
}

#[actix_web::test]
async fn what_a_limit_reads_is_somebody() {
    for (keys, by) in [
        (&["ip"][..], "ip"),
        (&["ip"], "ip/64"),
        (&["ip/64"], "ip"),
        (&["ip/48", "ip"], "ip/48"),
        (&["header:X-Key"], "header:x-key"),
        (&["user+path:tenant"], "user+path:tenant"),
        (&["global"], "global"),
        (&["ip", "user"], "user"),
        // Who has no key is counted by address.
        (&["user"], "no_key"),
        (&["user"], "ip"),
        (&["user+path:tenant"], "ip"),
        // What a function reads, and what the program does without a request, nobody knows.
        (&["function"], "header:X-Key"),
        (&["function", "ip"], "user"),
        (&["ip"], "value"),
        (&["ip"], "parts"),
    ] {
        assert_eq!(refused(keys, by).await, None, "{keys:?} {by}");
    }
}

#[actix_web::test]
async fn what_no_limit_reads_is_nobody() {
    for (keys, by, known) in [
        (&["ip"][..], "header:X-Key", "count by ip, and"),
        (&["ip"], "user", "count by ip, and"),
        (&["ip"], "ip/48", "count by ip, and"),
        (&["ip"], "no_key", "count by ip, and"),
        (&["global"], "no_key", "count by global, and"),
        (&["ip"], "user+ip", "count by ip, and"),
        (&["user+path:tenant"], "user", "count by user+path:tenant, no_key, and"),
        (&["user+path:tenant"], "path:tenant+user", "count by user+path:tenant, no_key, and"),
        (&["user"], "ip/48", "count by user, no_key, and"),
        (&["user, denied"], "ip", "count by user, and"),
        (&["user, denied"], "no_key", "count by user, and"),
    ] {
        let refusal = refused(keys, by).await.unwrap_or_default();
        assert!(refusal.contains(known), "{keys:?} {by}: {refusal}");
    }
}

#[actix_web::test]
async fn by_ip_those_without_a_key_are_reached() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    let limit = by_key(RateLimit::new(&guard, "2/365d"), "header:X-Key");
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
    assert_eq!(told(&app, "explain", &client).await["passes"], false);
    assert_eq!(told(&app, "reset", &client).await["by"], "no_key");
    assert_eq!(status().await, 200);
}

#[actix_web::test]
async fn the_key_is_the_one_that_the_file_says_now() {
    let folder = Folder::new();
    let says = |key: &str| format!("[policies.{NAME}]\nrate = \"2/minute\"\nkey = \"{key}\"\n");
    let path = folder.file("rateguard.toml", &says("header:X-Key"));
    let guard = RateGuard::builder()
        .policies_file(&path)
        .policies_file_interval(std::time::Duration::ZERO)
        .for_attributes(false)
        .build()
        .unwrap();
    let limit = RateLimit::policy(&guard, NAME).by(key::ip());
    let app = init_service(App::new().wrap(limit).service(endpoints(&guard))).await;
    let body = json!({"policy": NAME, "by": "header:X-Key", "key": "ann"});
    told(&app, "reset", &body).await;
    fs::write(&path, says("user")).unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
    let answer = post(&app, "reset", &body).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("count by user, no_key"), "{}", answer.body);
}
