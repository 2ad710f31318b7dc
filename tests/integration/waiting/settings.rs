//! Tests the setting `wait` in middlewares, policies files, explanations and the inventory.

use std::time::Duration;

use actix_rateguard::{Limit, RateGuard, RateLimit};
use actix_web::{
    App,
    test::{TestRequest, init_service},
    web,
};

use super::{SECOND, arrivals, waited};
use crate::support::{app::get, folder::Folder};

#[test]
fn invalid_waits_are_rejected_at_start() {
    let guard = RateGuard::in_memory();
    for (limit, part) in [
        (Limit::new("5/second").wait("61s"), "expected a wait of at most 60 seconds"),
        (Limit::new("5/second").wait("soon"), "found `soon`"),
        (Limit::new("5/second").wait(61 * SECOND), "expected a wait of at most 60 seconds"),
        (Limit::new("100/second lease 10").wait("1s"), "`wait` conflicts with a lease"),
        (Limit::new("100/second").lease(10).wait("1s"), "`wait` conflicts with a lease"),
    ] {
        let message = RateLimit::try_new(&guard, limit).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    assert!(RateLimit::try_new(&guard, Limit::new("5/second").wait("60s")).is_ok());
    assert!(RateLimit::try_new(&guard, Limit::new("5/second").wait(Duration::ZERO)).is_ok());
}

fn load(folder: &Folder, text: &str) -> Result<RateGuard, actix_rateguard::BuildError> {
    let path = folder.path().join("limits.toml");
    std::fs::write(&path, text).unwrap();
    RateGuard::builder().policies_file(&path).build()
}

#[test]
fn invalid_waits_in_a_policies_file_are_rejected() {
    let folder = Folder::new();
    for (text, part) in [
        (
            "[policies.a]\nrate = \"5/second\"\nwait = \"61s\"",
            "expected a wait of at most 60 seconds",
        ),
        ("[policies.a]\nrate = \"5/second\"\nwait = true", "expected a wait of at most 60 seconds"),
        (
            "[policies.a]\nrate = \"90/second lease 10\"\nwait = \"1s\"",
            "`wait` conflicts with a lease",
        ),
        ("[guard]\nmax_waiting = -1", "expected a whole number of requests"),
        ("[guard]\nmax_waiting_per_key = \"5\"", "without quotes"),
    ] {
        let error = load(&folder, text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn policies_file_sets_and_removes_the_wait() {
    let folder = Folder::new();
    let file = |wait| format!("[policies.a]\nrate = \"1/hour\"\n{wait}");
    for (text, of_limit, expected) in [
        (file("wait = \"2s\""), "0s", 2 * SECOND),
        (file("wait = 2"), "9s", 2 * SECOND),
        (file("wait = \"0s\""), "9s", Duration::ZERO),
        (file(""), "9s", 9 * SECOND),
        (file(""), "0s", Duration::ZERO),
    ] {
        let guard = load(&folder, &text).unwrap();
        let limit = RateLimit::new(&guard, Limit::policy("a").wait(of_limit));
        let app = init_service(App::new().wrap(limit).route("/", web::get().to(waited))).await;
        let inventory = guard.inventory();
        let limit = inventory.limits().iter().find(|limit| limit.name == "a").unwrap();
        assert_eq!(limit.wait, expected, "{text}");
        assert_eq!(get(&app, 1, "/").await.status, 200);
    }
    // The bounds of the file take effect, too.
    let text =
        "[guard]\nmax_waiting = 5\nmax_waiting_per_key = 1\n[policies.a]\nrate = \"1/365d\"\n";
    let guard = load(&folder, text).unwrap();
    let limit = RateLimit::new(&guard, Limit::new("1/20s").wait("60s"));
    let app = init_service(App::new().wrap(limit).route("/", web::get().to(waited))).await;
    let statuses = arrivals((0..3).map(|_| async {
        tokio::select! {
            response = get(&app, 1, "/") => response,
            () = tokio::time::sleep(SECOND) => get(&app, 2, "/").await,
        }
    }))
    .await;
    // One request is admitted, one waits until the test gives up, and one has no place.
    let denied: Vec<_> = statuses.iter().filter(|it| it.response.status == 429).collect();
    assert_eq!(denied.iter().map(|it| (it.number, it.at)).collect::<Vec<_>>(), [(2, 0)]);
}

#[actix_web::test]
async fn explanation_reports_that_a_request_would_wait() {
    let guard = RateGuard::in_memory();
    let limit = Limit::new("1/minute").key("global").name("explained").wait("60s");
    let app = App::new().wrap(RateLimit::new(&guard, limit)).route("/", web::get().to(waited));
    let app = init_service(app).await;
    let request = TestRequest::get().uri("/").to_http_request();
    let explanation = guard.explain_request(&request, &["explained"]).await;
    assert_eq!((explanation.passes(), explanation.limits()[0].would_wait()), (Some(true), None));
    assert_eq!(get(&app, 1, "/").await.status, 200);
    let explanation = guard.explain_request(&request, &["explained"]).await;
    assert_eq!((explanation.passes(), explanation.retry_after()), (Some(true), None));
    let wait = explanation.limits()[0].would_wait().unwrap();
    assert!(wait > SECOND && wait <= 60 * SECOND, "{wait:?}");
    assert!(explanation.to_string().contains("; the request would wait "), "{explanation}");
    assert!(guard.inventory().to_string().contains("1/minute, wait 60s"), "{}", guard.inventory());
}
