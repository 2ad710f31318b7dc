//! Tests the headers of the page and of its files.

use actix_rateguard::RateGuard;
use actix_web::{App, test::init_service};

use super::{endpoints, links};
use crate::support::app::get;

const SECURITY_POLICY: [&str; 10] = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
];

#[actix_web::test]
async fn every_file_has_its_media_type_and_security_headers() {
    let guard = RateGuard::in_memory();
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let page = get(&app, 1, "/operator/dashboard").await;
    let mut paths = vec!["dashboard", "dashboard/"];
    paths.extend(links(&page.body));
    paths.extend(["dashboard/actions.js", "dashboard/text.js"]);
    assert!(paths.len() >= 8, "{paths:?}");
    for path in paths {
        let response = get(&app, 1, &format!("/operator/{path}")).await;
        assert_eq!(response.status, 200, "{path}");
        let media_type = match path.rsplit('.').next() {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(response.header("content-type"), Some(media_type), "{path}");
        let policy = response.header("content-security-policy").unwrap();
        assert_eq!(policy.split("; ").collect::<Vec<_>>(), SECURITY_POLICY, "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(response.header(name), Some(value), "{path}");
        }
    }
}

#[actix_web::test]
async fn missing_file_is_a_problem_without_its_name() {
    let guard = RateGuard::in_memory();
    let app = init_service(App::new().service(endpoints(&guard))).await;
    for name in ["index.html", "missing.js", "%2e%2e%2fmod.rs", "%3Cscript%3E"] {
        let response = get(&app, 1, &format!("/operator/dashboard/{name}")).await;
        assert_eq!(response.status, 404, "{name}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{name}");
        assert!(!response.body.contains("script"), "{name}: {}", response.body);
    }
}
