//! Tests the names of policies: names that the program uses but that the policies file does not contain, and names for
//! which the program and the file have different settings.

use std::fs;

use actix_rateguard::{Limit, Plan, Policy, RateGuard, RateLimit, key};
use actix_web::{App, HttpRequest, test::init_service, web};

use super::without_polling;
use crate::support::{app::get, folder::Folder};

const FILE: &str = "# limits\n[policies]\nlogin.rate = \"50/minute\"\nsearch.rate = \"5/minute\"\n[plans]\nfree = \"1/minute\"\n";

/// A guard, and its policies file. A test replaces this file.
struct Reloader {
    folder: Folder,
    guard: RateGuard,
}

impl Reloader {
    fn new() -> Self {
        let folder = Folder::new();
        let guard = without_polling(folder.file("rateguard.toml", FILE)).build().unwrap();
        Self { folder, guard }
    }

    /// Replaces the file and reloads it. Returns the error messages of the reload.
    fn reload(&self, text: &str) -> Vec<String> {
        fs::write(self.folder.path().join("rateguard.toml"), text).unwrap();
        match self.guard.reload_policies() {
            Ok(_) => Vec::new(),
            Err(error) => error.diagnostics().iter().map(ToString::to_string).collect(),
        }
    }
}

#[test]
fn policy_used_by_a_middleware_cannot_be_removed() {
    let reloader = Reloader::new();
    let without = FILE.replace("login", "logn");
    assert_eq!(reloader.reload(&without), [""; 0], "the policy is not used yet");
    assert_eq!(reloader.reload(FILE), [""; 0]);
    let _limit = RateLimit::new(&reloader.guard, Limit::policy("login"));
    assert_eq!(
        reloader.reload(&without),
        [
            "2:1: unknown policy `login`, used by the program; did you mean `logn`? expected one of `logn`, `search`"
        ]
    );
    assert_eq!(
        reloader.reload("# nothing\n"),
        ["1:1: unknown policy `login`, used by the program; no policy is defined"]
    );
    assert!(reloader.guard.policy("login").is_some());
}

#[test]
fn policy_fetched_by_the_program_cannot_be_removed() {
    let reloader = Reloader::new();
    assert!(reloader.guard.policy("search").is_some());
    assert_eq!(reloader.reload(&FILE.replace("search", "find")).len(), 1);
    // The next version of the file contains the name again, and the version after it does not. The missing name must
    // be an error again.
    assert_eq!(reloader.reload(&FILE.replace('5', "7")), [""; 0]);
    assert_eq!(reloader.reload(&FILE.replace("search", "find")).len(), 1);
}

#[test]
fn policy_defined_in_code_may_leave_the_file() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", FILE);
    let login = Policy::new("login", "9/minute").unwrap();
    let guard = without_polling(&path).policy(login).build().unwrap();
    assert_eq!(guard.policy("login").unwrap().quotas().to_string(), "50/minute");
    fs::write(&path, FILE.replace("login", "other")).unwrap();
    guard.reload_policies().unwrap();
    assert_eq!(guard.policy("login").unwrap().quotas().to_string(), "9/minute");
}

#[actix_web::test]
async fn plan_used_by_a_request_cannot_be_removed() {
    let reloader = Reloader::new();
    let plan = |_: &HttpRequest| Plan::named("free");
    let limit = RateLimit::new(&reloader.guard, Limit::plan(plan).name("plans"));
    let app = init_service(App::new().wrap(limit).route("/", web::get().to(async || "ok"))).await;
    let without = FILE.replace("free", "fre");
    assert_eq!(reloader.reload(&without), [""; 0], "the plan is not used yet");
    assert_eq!(reloader.reload(FILE), [""; 0]);
    assert_eq!(get(&app, 1, "/").await.status, 200);
    assert_eq!(
        reloader.reload(&without),
        [
            "5:1: unknown plan `free`, used by the program; did you mean `fre`? expected one of `fre`"
        ]
    );
    assert_eq!(get(&app, 1, "/").await.status, 429);
}

#[actix_web::test]
async fn quota_below_a_fixed_cost_is_rejected() {
    let reloader = Reloader::new();
    let limit = RateLimit::new(&reloader.guard, Limit::policy("login").cost(20));
    let _app = init_service(App::new().wrap(limit)).await;
    assert_eq!(
        reloader.reload(&FILE.replace("50/minute", "19/minute")),
        [
            "3:1: policy `login` admits at most 19 units, but each request costs 20 in the program, so all would be denied"
        ]
    );
    assert_eq!(reloader.reload(&FILE.replace("50/minute", "20/minute")), [""; 0]);
    // A cost in the file overrides a cost in code, so this file is valid.
    assert_eq!(
        reloader.reload(&FILE.replace("50/minute\"", "19/minute\"\nlogin.cost = 1")),
        [""; 0]
    );
}

#[actix_web::test]
async fn policy_conflicting_with_a_named_limit_is_rejected() {
    let reloader = Reloader::new();
    let limit = |quota| RateLimit::new(&reloader.guard, Limit::new(quota).name("api"));
    let _app = init_service(App::new().wrap(limit("5/minute"))).await;
    let file_with = |rate| format!("{FILE}[policies.api]\nrate = \"{rate}\"\n");
    assert_eq!(reloader.reload(&file_with("5/minute")), [""; 0], "equal quotas share their counts");
    let messages = reloader.reload(&file_with("6/minute"));
    assert_eq!(messages.len(), 1, "{messages:?}");
    let start = "7:11: two limits are named `api` but have different quotas: 5/minute at tests/integration/config/names.rs:";
    assert!(messages[0].starts_with(start), "{messages:?}");
    let end = ", and 6/minute in the policies of the guard; give each limit its own name";
    assert!(messages[0].ends_with(end), "{messages:?}");
    assert_eq!(reloader.reload(FILE), [""; 0]);
}

#[test]
fn startup_settings_cannot_change_on_reload() {
    let folder = Folder::new();
    let text = "[guard]\non_error = \"open\"\ndeadline = \"1s\"\nheaders = [\"draft\"]\n";
    let path = folder.file("rateguard.toml", text);
    let guard = without_polling(&path).build().unwrap();
    for (changed, expected) in [
        (text.replace("\"open\"", "\"closed\""), None),
        (text.replace("\"1s\"", "2"), Some("3:12: `deadline` of `[guard]` cannot change")),
        (text.replace("\"1s\"", "1"), None),
        (text.replace("headers", "#"), Some("1:1: `headers` of `[guard]` cannot change")),
        ("# all gone\n".to_owned(), Some("1:1: `deadline` of `[guard]` cannot change")),
        (format!("{text}replicas = 2\n"), Some("5:12: `replicas` of `[guard]` cannot change")),
        (format!("{text}[guard.client_address]\n"), Some("`client_address` of `[guard]`")),
    ] {
        fs::write(&path, &changed).unwrap();
        match (guard.reload_policies(), expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) if expected.starts_with(char::is_numeric) => {
                assert!(error.diagnostics()[0].to_string().starts_with(expected), "{error}");
            }
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(expected), "{error}")
            }
            (result, _) => panic!("{changed}: {result:?}"),
        }
    }
}

macro_rules! panicking_settings {
    ($($name:ident: $middleware:expr, $expected:literal;)*) => {$(
        #[test]
        #[should_panic(expected = $expected)]
        fn $name() {
            let guard = Reloader::new().guard;
            let middleware: fn(&RateGuard, Limit) -> RateLimit = $middleware;
            let _ = middleware(&guard, Limit::policy("login"));
        }
    )*};
}

panicking_settings! {
    name_on_a_named_policy_panics: |guard, limit| RateLimit::new(guard, limit.name("other")),
        "the policy `login` already sets this; remove `name`";
    ban_on_a_named_policy_panics: |guard, limit| RateLimit::new(guard, limit.ban("10/hour for 15m")),
        "the policy `login` already sets this; remove `ban`";
    on_error_on_a_named_policy_panics: |guard, limit| RateLimit::new(guard, limit.on_error(actix_rateguard::OnError::Closed)),
        "the policy `login` already sets this; remove `on_error`";
    and_policy_with_an_unknown_name_panics: |guard, limit| RateLimit::new(guard, limit).and(Limit::new("5/minute").key(key::user()).name("login2")).and(Limit::policy("x")),
        "the guard has no policy named `x`";
}

#[actix_web::test]
async fn plan_in_code_can_be_text() {
    let guard = RateGuard::builder()
        .plan("free", "10/minute; 100/day")
        .plan("paid", String::from("1000/minute"))
        .plan("internal", "unlimited")
        .build();
    assert!(guard.is_ok(), "{guard:?}");
}

#[actix_web::test]
async fn invalid_plans_in_code_are_build_errors() {
    let builder = || RateGuard::builder().plan("free", Plan::of("1/minute"));
    for (error, expected) in [
        (builder().plan("free", Plan::Unlimited).build(), "two plans are named `free`"),
        (builder().plan("a b", Plan::Unlimited).build(), "plan: expected a name of 1 to 200 bytes"),
        (
            builder().plan("pro", "100/minut").build(),
            "plan `pro`: unknown unit of time `minut`; did you mean `minute`?",
        ),
        (
            builder().plan("pro", Plan::named("free")).build(),
            "the plan `pro` refers to another plan",
        ),
    ] {
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
