//! Builds guards in a program whose macro attributes contain mistakes, and prints what the guards report. A guard
//! validates all macro attributes of its program, so this code is a separate program and not a part of the tests.
//!
//! The argument is the path of a policies file that lacks the policy `search`.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{env, error::Error};

use actix_rateguard::{
    BuildError, Limit, Plan, Policy, RateGuard, RateLimit,
    explain::{Outcome, RejectReason},
    rate_limit,
};
use actix_web::{
    App, HttpRequest, get,
    test::{TestRequest, call_service, init_service},
};

#[get("/login")]
#[rate_limit(rate = "5/minute", name = "login")]
async fn login() -> &'static str {
    "ok"
}

#[get("/admin/login")]
#[rate_limit(rate = "9/minute", name = "login")]
async fn admin_login() -> &'static str {
    "ok"
}

#[get("/search")]
#[rate_limit(policy = "search", cost = 3)]
async fn search() -> &'static str {
    "ok"
}

/// Prints the log lines of the guard.
struct Printer;

impl log::Log for Printer {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target() == "rateguard" {
            println!("log: {} {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}

fn report(case: &str, result: Result<RateGuard, BuildError>) {
    println!("{case}: {}", result.map_or_else(|error| error.to_string(), |_| "ok".to_owned()));
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    log::set_logger(&Printer).map_err(|error| error.to_string())?;
    log::set_max_level(log::LevelFilter::Info);
    let file = env::args().nth(1).ok_or("expected the path of a policies file")?;
    let with = |name: &'static str| Ok::<_, Box<dyn Error>>(Policy::new(name, "7/minute")?);

    report("no policies", RateGuard::builder().build());
    report("misspelled", RateGuard::builder().policy(with("serach")?).build());
    report("file", RateGuard::builder().policies_file(file).build());
    report("attributes", RateGuard::builder().policy(with("search")?).build());
    let both = RateGuard::builder().policy(with("search")?).policy(with("login")?);
    report("policy and attribute", both.build());
    report("not for attributes", RateGuard::builder().for_attributes(false).build());

    // This function cannot return an error, so it logs the error.
    let guard = RateGuard::in_memory();
    let app = App::new().app_data(guard.clone()).service((login, admin_login, search));
    let app = init_service(app).await;
    let explain = async || {
        let request = TestRequest::default().to_http_request();
        let explanation = guard.explain_request(&request, &["login"]).await;
        for limit in explanation.limits() {
            let outcome = match &limit.outcome {
                Outcome::Rejected(RejectReason::NameConflict) => "name conflict",
                outcome if outcome.passes() == Some(true) => "passes",
                _ => "other",
            };
            println!("explanation: line {}, {outcome}", limit.limit.line);
        }
    };
    // An explanation must not reserve the name for a limit.
    explain().await;
    for path in ["/admin/login", "/login", "/search"] {
        let response = call_service(&app, TestRequest::with_uri(path).to_request()).await;
        println!("request: {path} {}", response.status().as_u16());
    }
    explain().await;

    let guard = RateGuard::builder().plan("premium", Plan::Unlimited).for_attributes(false);
    let limit = Limit::plan(|_: &HttpRequest| Plan::named("premum\n"));
    let limit = RateLimit::new(&guard.build()?, limit);
    let app = init_service(App::new().wrap(limit)).await;
    let response = call_service(&app, TestRequest::default().to_request()).await;
    println!("plan: {}", response.status().as_u16());
    Ok(())
}
