//! Tests that the operator endpoints escape hostile keys and hostile field names in their JSON responses.

use actix_rateguard::{Policy, RateGuard};
use actix_web::{App, test::init_service};
use serde_json::{Value, json};

use super::{endpoints, parse_json, post};

#[actix_web::test]
async fn hostile_keys_are_escaped_in_json() {
    let policy = Policy::new("op-plain", "2/minute").unwrap();
    let guard = RateGuard::builder().for_attributes(false).policy(policy).build().unwrap();
    let app = init_service(App::new().service(endpoints(&guard))).await;
    for hostile in [
        "\"},{\"version\":2",
        "line\nbreak\r\nX-Header: x",
        "<script>alert(1)</script>",
        "\u{0}\u{1}\u{1b}[31m\u{7f}",
        "\u{202e}gnp.exe\u{2066}",
        "\u{2028}\u{2029}",
        "{braces}:{3d96e352bbde918d06f1a23d15894dc9}:login",
        "🦀",
        "",
    ] {
        for endpoint in ["explain", "reset"] {
            let body = json!({"policy": "op-plain", "key": hostile});
            let response = post(&app, endpoint, &body).await;
            assert_eq!(response.status, 200, "{hostile:?}: {}", response.body);
            assert_eq!(response.header("content-type"), Some("application/json"));
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(response.header("cache-control"), Some("no-store"));
            assert_eq!(response.headers.get("x-header"), None);
            assert_eq!(parse_json(&response)["key"], json!([hostile]));
            let line = response.body.strip_suffix('\n').unwrap();
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
            assert!(!line.contains(['<', '>']), "{line}");
        }
        // The error message about an unexpected field contains the name of the field, which must be escaped too.
        let response = post(&app, "reset", &json!({ hostile: 1 })).await;
        assert_eq!(response.status, 400);
        assert!(response.body.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let _: Value = parse_json(&response);
    }
    let long = "x".repeat(50_000);
    let response = post(&app, "reset", &json!({ long.clone(): 1 })).await;
    assert!(response.body.len() < 2_000, "{}", response.body.len());
}
