//! Whatever a key or a field is, it is told as data.

use actix_web::{App, test::init_service};
use rateguard::{Policy, RateGuard};
use serde_json::{Value, json};

use super::{endpoints, parsed, post};

#[actix_web::test]
async fn hostile_keys_are_data() {
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
            let answer = post(&app, endpoint, &body).await;
            assert_eq!(answer.status, 200, "{hostile:?}: {}", answer.body);
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.headers.get("x-header"), None);
            assert_eq!(parsed(&answer)["key"], json!([hostile]));
            let line = answer.body.strip_suffix('\n').unwrap();
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
            assert!(!line.contains(['<', '>']), "{line}");
        }
        // Also where it is what is wrong.
        let answer = post(&app, "reset", &json!({ hostile: 1 })).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let _: Value = parsed(&answer);
    }
    let long = "x".repeat(50_000);
    let answer = post(&app, "reset", &json!({ long.clone(): 1 })).await;
    assert!(answer.body.len() < 2_000, "{}", answer.body.len());
}
