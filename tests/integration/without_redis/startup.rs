//! Tests that mistakes in the names of macro attributes are reported at start. A guard validates all macro attributes
//! of its program, so a separate program contains the mistakes.

use std::process::Command;

use actix_rateguard::{Limit, Policy, RateGuard, RateLimit};

use crate::support::folder::Folder;

const SOURCE: &str = include_str!("../../src/bin/startup.rs");

/// Runs the program, and returns the texts that it prints after `case`.
fn reports(case: &str) -> Vec<String> {
    let folder = Folder::new();
    let file = folder.file("rateguard.toml", "[policies.serach]\nrate = \"5/minute\"\n");
    let output = Command::new(env!("CARGO_BIN_EXE_startup")).arg(file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let start = format!("{case}: ");
    let reports: Vec<_> =
        lines.lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect();
    assert!(!reports.is_empty(), "{case}: {lines}");
    reports
}

fn report(case: &str) -> String {
    reports(case).remove(0)
}

/// Returns the numbers of the lines in the program that contain this text.
fn lines_with(text: &str) -> Vec<usize> {
    let lines = SOURCE.lines().enumerate().filter(|(_, line)| line.contains(text));
    lines.map(|(index, _)| index + 1).collect()
}

const OTHER_GUARD: &str = "If another guard serves the attribute, set its `limiter` or call `for_attributes(false)` for this guard";

#[test]
fn build_without_the_policy_of_an_attribute_suggests_a_policy() {
    let line = lines_with("policy = \"search\"")[0];
    let start = format!(
        "unknown policy `search`, used by the attribute at tests/src/bin/startup.rs:{line}"
    );
    assert_eq!(
        report("no policies"),
        format!("{start}; no policy is defined. Add the policy. {OTHER_GUARD}")
    );
    assert_eq!(
        report("misspelled"),
        format!(
            "{start}; did you mean `serach`? expected one of `serach`. Add the policy. {OTHER_GUARD}"
        )
    );
    let file = report("file");
    assert!(file.contains(&format!("1:2: {start}; did you mean `serach`? ")), "{file}");
    assert_eq!(report("not for attributes"), "ok");
}

#[test]
fn build_with_two_quotas_under_one_name_names_both_attributes() {
    let [one, other] = lines_with("name = \"login\"")[..] else { panic!("there are two") };
    assert_eq!(
        report("attributes"),
        format!(
            "two limits are named `login` but have different quotas: 5/minute at tests/src/bin/startup.rs:{one}:1, and 9/minute at tests/src/bin/startup.rs:{other}:1; give each limit its own name. {OTHER_GUARD}"
        )
    );
    assert_eq!(
        report("policy and attribute"),
        format!(
            "two limits are named `login` but have different quotas: 7/minute in the policies of the guard, and 5/minute at tests/src/bin/startup.rs:{one}:1; give each limit its own name. {OTHER_GUARD}"
        )
    );
}

#[test]
fn infallible_constructor_logs_mistakes_of_attributes() {
    let log = report("log");
    assert!(log.starts_with("ERROR unknown policy `search`, used by the attribute at "), "{log}");
    assert!(
        log.ends_with(". Until you change it, the handler of this attribute responds with 500"),
        "{log}"
    );
    let log = &reports("log")[1];
    assert!(
        log.starts_with("ERROR two limits are named `login` but have different quotas"),
        "{log}"
    );
    let end = ". Until you change it, the handlers of all limits with this name respond with 500";
    assert!(log.ends_with(end), "{log}");
    // The message is true in each order of the requests.
    assert_eq!(reports("request"), ["/admin/login 500", "/login 500", "/search 500"]);
    let [one, other] = lines_with("name = \"login\"")[..] else { panic!("there are two") };
    assert_eq!(
        reports("explanation"),
        [
            format!("line {one}, name conflict"),
            format!("line {other}, name conflict"),
            format!("line {one}, name conflict"),
            format!("line {other}, name conflict"),
        ]
    );
}

#[test]
fn unknown_plan_is_logged_with_its_name_and_a_suggestion() {
    assert_eq!(report("plan"), "500");
    let log = reports("log").pop().unwrap();
    let line = lines_with("RateLimit::new(")[0];
    let start = format!(
        "ERROR the function of the limit without a name at tests/src/bin/startup.rs:{line} chose the plan `premum\\n`, but the guard has no plan of this name; did you mean `premium`? expected one of `premium`. "
    );
    assert!(log.starts_with(&start), "{log}");
}

#[test]
fn middleware_with_the_name_of_an_attribute_is_rejected_before_a_request() {
    let guard = RateGuard::in_memory();
    let limit = Limit::new("2/minute").name("replaced");
    let error = RateLimit::try_new(&guard, limit).unwrap_err().to_string();
    assert!(
        error.starts_with("two limits are named `replaced` but have different quotas: 5/minute at tests/integration/without_redis/names.rs:"),
        "{error}"
    );
    assert!(
        error.contains(", and 2/minute at tests/integration/without_redis/startup.rs:"),
        "{error}"
    );
    // A guard that does not serve the attribute accepts the name.
    let other = RateGuard::builder().for_attributes(false).build().unwrap();
    assert!(RateLimit::try_new(&other, Limit::new("2/minute").name("replaced")).is_ok());
    let policy = Policy::new("replaced", "5/minute").unwrap();
    assert!(RateGuard::builder().policy(policy).build().is_ok(), "equal quotas share their counts");
}
