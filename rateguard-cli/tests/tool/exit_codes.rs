//! Tests of the exit codes, and that no error contains a secret.

use actix_rateguard::{Policy, RateGuard};
use actix_web::{HttpResponse, web};

use crate::support::{Redis, Server, TOKEN, command, free_port, run};

fn guard() -> RateGuard {
    RateGuard::builder().policy(Policy::new("tool-exit", "1/minute").unwrap()).build().unwrap()
}

#[test]
fn denied_key_is_a_problem_only_on_request() {
    let redis = Redis::start();
    let target = ["--redis", &redis.url(), "--prefix", "exit", "--rate", "1/minute"];
    let peek = |more: &[&str]| {
        let arguments = [&["peek", "api", "user=ann"][..], &target, more].concat();
        run(&arguments)
    };
    assert_eq!(peek(&["--exit-code"]).code, 0);
    let guard = RateGuard::redis(redis.url()).prefix("exit").build().unwrap();
    let policy = Policy::new("api", "1/minute").unwrap();
    let key = actix_rateguard::key::user().key_of("ann").unwrap();
    actix_web::rt::System::new().block_on(guard.check(&policy, &key)).unwrap();
    assert_eq!(peek(&[]).code, 0);
    let denied = peek(&["--exit-code"]);
    assert_eq!(denied.code, 1);
    assert!(denied.stdout.starts_with("api user=ann: denied, retry after "), "{denied:?}");
}

#[test]
fn missing_target_is_a_usage_error() {
    let finished = run(&["peek", "login", "ip=192.0.2.7"]);
    assert_eq!(finished.code, 2);
    assert!(finished.stderr.contains("expected a target, found none"), "{finished:?}");
    let redis = run(&["peek", "login", "ip=192.0.2.7", "--redis", "redis://127.0.0.1:1"]);
    assert!(redis.stderr.contains("expected the prefix"), "{redis:?}");
}

#[test]
fn missing_or_wrong_token_is_refused() {
    let server = Server::start(&guard(), |_| {});
    let arguments = ["peek", "tool-exit", "key=ann", "--server", &server.url()];
    let missing = run(&arguments);
    assert_eq!(missing.code, 4, "{missing:?}");
    assert!(missing.stderr.contains("set the token in RATEGUARD_TOKEN"), "{missing:?}");
    let wrong = command(&arguments).env("RATEGUARD_TOKEN", "wrong-token").output().unwrap();
    assert_eq!(wrong.status.code(), Some(4));
    assert!(!String::from_utf8(wrong.stderr).unwrap().contains("wrong-token"));
    let right = command(&arguments).env("RATEGUARD_TOKEN", TOKEN).output().unwrap();
    assert_eq!(right.status.code(), Some(0));
}

#[test]
fn token_can_be_in_a_file_and_in_another_header() {
    let folder = crate::support::Folder::new();
    let token = folder.file("token", &format!("{TOKEN}\n"));
    let server = Server::start(&guard(), |_| {});
    let finished =
        run(&["peek", "tool-exit", "key=ann", "--server", &server.url(), "--token-file", &token]);
    assert_eq!(finished.code, 0, "{finished:?}");
    let bearer = folder.file("bearer", &format!("Bearer {TOKEN}"));
    let header = ["--token-file", &bearer, "--header", "authorization"];
    let finished =
        run(&[&["peek", "tool-exit", "key=ann", "--server", &server.url()][..], &header].concat());
    assert_eq!(finished.code, 0, "{finished:?}");
}

#[test]
fn server_that_does_not_answer_is_unreachable() {
    let url = format!("http://127.0.0.1:{}/operator", free_port());
    let finished = run(&["peek", "login", "ip=192.0.2.7", "--server", &url]);
    assert_eq!(finished.code, 3, "{finished:?}");
    assert!(
        finished.stderr.contains("cannot reach the server: connection refused"),
        "{finished:?}"
    );
    assert!(!finished.stderr.contains("127.0.0.1"), "{finished:?}");
}

#[test]
fn redis_that_does_not_answer_is_unreachable() {
    let url = format!("redis://:secret-password@127.0.0.1:{}", free_port());
    let target = ["--redis", &url, "--prefix", "shop", "--rate", "5/minute"];
    for name in
        [&["peek", "login", "ip=192.0.2.7"][..], &["reset", "login", "ip=192.0.2.7", "--yes"]]
    {
        let finished = run(&[name, &target[..]].concat());
        assert_eq!(finished.code, 3, "{finished:?}");
        assert!(!finished.stderr.contains("secret-password"), "{finished:?}");
    }
}

#[test]
fn wrong_password_of_redis_is_refused_and_never_printed() {
    let redis = Redis::start_with(&["--requirepass", "right-password"]);
    let url = format!("redis://:secret-password@127.0.0.1:{}", redis.port());
    let mut peek =
        command(&["peek", "login", "ip=192.0.2.7", "--prefix", "shop", "--rate", "5/minute"]);
    let finished: crate::support::Finished =
        peek.env("RATEGUARD_REDIS_URL", &url).output().unwrap().into();
    assert_eq!(finished.code, 4, "{finished:?}");
    assert!(!finished.stderr.contains("secret-password"), "{finished:?}");
    let bad = run(&[
        "peek",
        "login",
        "ip=192.0.2.7",
        "--redis",
        "redis://:secret-password@[",
        "--prefix",
        "shop",
        "--rate",
        "5/minute",
    ]);
    assert_eq!(bad.code, 2, "{bad:?}");
    assert!(!bad.stderr.contains("secret-password"), "{bad:?}");
}

#[test]
fn url_with_a_password_is_rejected_for_a_server() {
    let finished = run(&[
        "peek",
        "login",
        "ip=192.0.2.7",
        "--server",
        "http://ann:secret-password@127.0.0.1/operator",
    ]);
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(!finished.stderr.contains("secret-password"), "{finished:?}");
}

#[test]
fn unknown_policy_and_foreign_server_are_usage_errors() {
    let server = Server::start(&guard(), |config| {
        config.route("/other", web::to(|| async { HttpResponse::Ok().body("<html>") }));
    });
    let finished = server.run(&["peek", "tool-exti", "key=ann"]);
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stderr.contains("did you mean `tool-exit`?"), "{finished:?}");
    let url = format!("http://127.0.0.1:{}/other", server.port());
    let foreign = run(&["peek", "tool-exit", "key=ann", "--server", &url]);
    assert_eq!(foreign.code, 2, "{foreign:?}");
    assert!(foreign.stderr.contains("expected the operator endpoints"), "{foreign:?}");
}

#[test]
fn limit_around_the_endpoints_is_reported() {
    let server = Server::start_with(|config| {
        config.default_service(web::to(|| async { HttpResponse::TooManyRequests().finish() }));
    });
    let finished = server.run(&["override", "list"]);
    assert_eq!(finished.code, 3, "{finished:?}");
    assert!(finished.stderr.contains("exempt the operator endpoints"), "{finished:?}");
}

#[test]
fn arguments_without_effect_are_usage_errors() {
    let server = ["--server", "http://127.0.0.1:1/operator"];
    for (arguments, expected) in [
        (&["peek", "login", "ip=::1", "--rate", "5/minute"][..], "expected `--rate` with Redis"),
        (&["top", "--prefix", "shop"], "expected `--prefix` with Redis"),
        (&["explain", "rateguard.toml", "GET / from ::1"], "expected a file or a server"),
    ] {
        let finished = run(&[arguments, &server].concat());
        assert_eq!(finished.code, 2, "{finished:?}");
        assert!(finished.stderr.contains(expected), "{finished:?}");
    }
}

#[test]
fn certificate_authorities_are_read_from_the_file() {
    let folder = crate::support::Folder::new();
    let file = folder.file("empty.pem", "no certificate\n");
    let arguments = ["override", "list", "--server", "https://127.0.0.1:1/operator", "--ca-file"];
    let finished = run(&[&arguments[..], &[&file]].concat());
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stderr.contains("expected certificates in PEM format"), "{finished:?}");
    let missing = run(&[&arguments[..], &["/nonexistent.pem"]].concat());
    assert!(missing.stderr.contains("failed to read /nonexistent.pem"), "{missing:?}");
}

/// A redirect would send the token to another address.
#[test]
fn redirect_is_not_followed() {
    let server = Server::start_with(|config| {
        config.default_service(web::to(|| async {
            HttpResponse::Found()
                .insert_header(("Location", "http://127.0.0.1:1/elsewhere"))
                .finish()
        }));
    });
    let finished = server.run(&["override", "list"]);
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stderr.contains("found status 302"), "{finished:?}");
}
