//! Names that the program uses and a file has not, and names that both use for something else.

use std::fs;

use actix_web::{App, HttpRequest, Responder, test::init_service, web};
use rateguard::{BuildError, Plan, Policy, RateGuard, RateLimit, key, rate_limit};

use super::by_hand;
use crate::support::{app::get, folder::Folder};

const FILE: &str = "# limits\n[policies]\nlogin.rate = \"50/minute\"\nsearch.rate = \"5/minute\"\n[plans]\nfree = \"1/minute\"\n";

#[allow(dead_code, reason = "what its attribute says is enough")]
#[rate_limit(policy = "search", key = "ip", cost = 3)]
async fn search() -> impl Responder {
    "ok"
}

/// A guard on this file, and what is told when another text takes the place of the file's.
struct Told {
    folder: Folder,
    guard: RateGuard,
}

impl Told {
    fn new() -> Self {
        let folder = Folder::new();
        let guard = by_hand(folder.file("rateguard.toml", FILE)).build().unwrap();
        Self { folder, guard }
    }

    /// One for the attributes of this program, too.
    fn guard_for_attributes(&self) -> RateGuard {
        let path = self.folder.file("rateguard.toml", FILE);
        by_hand(path).for_attributes(true).build().unwrap()
    }

    fn of(&self, text: &str) -> Vec<String> {
        fs::write(self.folder.path().join("rateguard.toml"), text).unwrap();
        match self.guard.reload_policies() {
            Ok(_) => Vec::new(),
            Err(error) => error.mistakes().iter().map(ToString::to_string).collect(),
        }
    }
}

#[test]
fn a_name_that_a_middleware_uses_cannot_go() {
    let told = Told::new();
    let without = FILE.replace("login", "logn");
    assert_eq!(told.of(&without), [""; 0], "nobody has used it yet");
    assert_eq!(told.of(FILE), [""; 0]);
    let _limit = RateLimit::policy(&told.guard, "login");
    assert_eq!(
        told.of(&without),
        [
            "2:1: the program takes the policy `login`, and there is none of this name; is it `logn`? there are `logn`, `search`"
        ]
    );
    assert_eq!(
        told.of("# nothing\n"),
        [
            "1:1: the program takes the policy `login`, and there is none of this name; there are none"
        ]
    );
    assert!(told.guard.policy("login").is_some());
}

#[test]
fn a_name_that_the_program_has_asked_for_cannot_go() {
    let told = Told::new();
    assert!(told.guard.policy("search").is_some());
    assert_eq!(told.of(&FILE.replace("search", "find")).len(), 1);
    // Once more, after it was in force again.
    assert_eq!(told.of(&FILE.replace('5', "7")), [""; 0]);
    assert_eq!(told.of(&FILE.replace("search", "find")).len(), 1);
}

#[test]
fn what_the_program_has_itself_may_go_from_the_file() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", FILE);
    let login = Policy::new("login", "9/minute").unwrap();
    let guard = by_hand(&path).policy(login).build().unwrap();
    assert_eq!(guard.policy("login").unwrap().quotas().to_string(), "50/minute");
    fs::write(&path, FILE.replace("login", "other")).unwrap();
    guard.reload_policies().unwrap();
    assert_eq!(guard.policy("login").unwrap().quotas().to_string(), "9/minute");
}

#[actix_web::test]
async fn a_plan_that_a_request_has_had_cannot_go() {
    let told = Told::new();
    let plan = |_: &HttpRequest| Plan::named("free");
    let limit = RateLimit::per_request(&told.guard, plan).name("plans");
    let app = init_service(App::new().wrap(limit).route("/", web::get().to(async || "ok"))).await;
    let without = FILE.replace("free", "fre");
    assert_eq!(told.of(&without), [""; 0], "nobody has had it yet");
    assert_eq!(told.of(FILE), [""; 0]);
    assert_eq!(get(&app, 1, "/").await.status, 200);
    assert_eq!(
        told.of(&without),
        [
            "5:1: the program takes the plan `free`, and there is none of this name; is it `fre`? there are `fre`"
        ]
    );
    assert_eq!(get(&app, 1, "/").await.status, 429);
}

#[test]
fn a_name_that_an_attribute_uses_is_needed_at_start() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &FILE.replace("search", "searhc"));
    let error = by_hand(&path).for_attributes(true).build().unwrap_err();
    let BuildError::PoliciesFile(error) = error else { panic!("{error}") };
    let message = error.mistakes()[0].to_string();
    assert!(message.starts_with("2:1: the attribute at tests/"), "{message}");
    assert!(
        message
            .contains("takes the policy `search`, and there is none of this name; is it `searhc`?"),
        "{message}"
    );
    // All that is wrong, at once; and what is there and wrong is not missing.
    let path = folder.file("rateguard.toml", "[policies]\nlogin.rate = 5\nsearch.rate = 5\n");
    let error = by_hand(&path).for_attributes(true).build().unwrap_err().to_string();
    assert_eq!(error.matches("a rate is text in quotes").count(), 2, "{error}");
    assert_eq!(error.lines().count(), 2, "{error}");
}

#[actix_web::test]
async fn a_quota_under_which_a_known_cost_would_never_pass_is_refused() {
    let told = Told::new();
    let limit = RateLimit::policy(&told.guard, "login").cost(20);
    let _app = init_service(App::new().wrap(limit)).await;
    assert_eq!(
        told.of(&FILE.replace("50/minute", "19/minute")),
        [
            "3:1: `login` admits no more than 19 at once, and in the program each request that it limits costs 20; nothing would ever pass"
        ]
    );
    assert_eq!(told.of(&FILE.replace("50/minute", "20/minute")), [""; 0]);
    // What the file says of the cost goes before.
    assert_eq!(told.of(&FILE.replace("50/minute\"", "19/minute\"\nlogin.cost = 1")), [""; 0]);
    // An attribute has said it when the program was compiled.
    let told = Told { guard: told.guard_for_attributes(), ..told };
    let told_of_search = told.of(&FILE.replace("5/minute\"\n[", "2/minute\"\n["));
    assert_eq!(told_of_search.len(), 1, "{told_of_search:?}");
    assert!(told_of_search[0].starts_with("4:1: `search` admits no more than 2"));
}

#[actix_web::test]
async fn a_name_that_a_limit_of_the_program_has_for_something_else_is_refused() {
    let told = Told::new();
    let of = |quota| RateLimit::new(&told.guard, quota).name("api");
    let _app = init_service(App::new().wrap(of("5/minute"))).await;
    let with = |rate| format!("{FILE}[policies.api]\nrate = \"{rate}\"\n");
    assert_eq!(told.of(&with("5/minute")), [""; 0], "they share their counts");
    assert_eq!(
        told.of(&with("6/minute")),
        [
            "7:11: two limits are named `api` and have different quotas, 5/minute and 6/minute; give each a name of its own"
        ]
    );
    assert_eq!(told.of(FILE), [""; 0]);
}

#[test]
fn what_is_read_at_start_cannot_change_later() {
    let folder = Folder::new();
    let text = "[guard]\non_error = \"open\"\ndeadline = \"1s\"\nheaders = [\"draft\"]\n";
    let path = folder.file("rateguard.toml", text);
    let guard = by_hand(&path).build().unwrap();
    for (changed, expected) in [
        (text.replace("\"open\"", "\"closed\""), None),
        (text.replace("\"1s\"", "2"), Some("3:12: `deadline` of `[guard]` is read when")),
        (text.replace("\"1s\"", "1"), None),
        (text.replace("headers", "#"), Some("1:1: `headers` of `[guard]` is read when")),
        ("# all gone\n".to_owned(), Some("1:1: `deadline` of `[guard]` is read when")),
        (format!("{text}replicas = 2\n"), Some("5:12: `replicas` of `[guard]` is read when")),
        (format!("{text}[guard.client_address]\n"), Some("`client_address` of `[guard]`")),
    ] {
        fs::write(&path, &changed).unwrap();
        match (guard.reload_policies(), expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) if expected.starts_with(char::is_numeric) => {
                assert!(error.mistakes()[0].to_string().starts_with(expected), "{error}");
            }
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(expected), "{error}")
            }
            (result, _) => panic!("{changed}: {result:?}"),
        }
    }
}

macro_rules! says_itself {
    ($($name:ident: $settings:expr, $expected:literal;)*) => {$(
        #[test]
        #[should_panic(expected = $expected)]
        fn $name() {
            let guard = Told::new().guard;
            let settings: fn(RateLimit) -> RateLimit = $settings;
            let _ = settings(RateLimit::policy(&guard, "login"));
        }
    )*};
}

says_itself! {
    a_policy_says_its_name: |limit| limit.name("other"),
        "the policy `login` already says this; leave `name` out";
    a_policy_says_who_is_banned: |limit| limit.ban("10/hour for 15m"),
        "the policy `login` already says this; leave `ban` out";
    a_policy_says_what_happens_without_an_answer: |limit| limit.on_error(rateguard::OnError::Closed),
        "the policy `login` already says this; leave `on_error` out";
    a_further_limit_says_its_own: |limit| limit.and("5/minute").by(key::user()).name("login2").and_policy("x"),
        "the guard was given no policy named `x`";
}

#[actix_web::test]
async fn plans_of_the_program_are_checked_when_the_guard_is_built() {
    let of = || RateGuard::builder().plan("free", Plan::of("1/minute"));
    for (error, expected) in [
        (of().plan("free", Plan::Unlimited).build(), "two plans are named `free`"),
        (of().plan("a b", Plan::Unlimited).build(), "plan: \"a b\" is not a legal name"),
        (of().plan("pro", Plan::named("free")).build(), "the plan `pro` names another one"),
    ] {
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
