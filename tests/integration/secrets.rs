//! Tests that passwords, API keys and user ids do not appear in any output.

use std::{error::Error, fmt::Debug, fs, time::Duration};

use actix_rateguard::{
    AccessList, Key, Limit, OnError, Policy, RateGuard, RateLimit, RejectionBody, UserId,
    headers::HeaderDialect, key, rate_limit,
};
use actix_web::{
    App, HttpMessage, HttpRequest, Responder,
    dev::Service,
    get,
    test::{TestRequest, init_service},
    web,
};

use crate::support::{
    app::{from_client, send},
    eventually, log_lines,
    redis_server::RedisServer,
};

/// A secret text, which the test program does not contain in any other place. Therefore an output that contains the
/// text proves that the secret has leaked.
const SENTINEL: &str = "Zx9-sentinel-7Qw";

macro_rules! handlers {
    ($($name:ident $path:literal ($($argument:tt)*);)*) => {$(
        #[get($path)]
        #[rate_limit(rate = "2/minute", ban = "2/minute for 1m", $($argument)*)]
        async fn $name(_request: HttpRequest) -> impl Responder {
            "ok"
        }
    )*};
}

handlers! {
    by_header "/header" (key = "header:X-Api-Key");
    by_user "/user" (key = "user");
    by_bearer "/bearer" (key = "bearer");
    by_cookie "/cookie" (key = "cookie:session");
    by_path "/path/{secret}" (key = "path:secret");
    by_closure "/closure" (key = |req: &HttpRequest| req.uri().query().map(str::to_owned));
    by_all "/all" (key = "user+header:X-Api-Key+bearer");
}

/// Returns an HTTP request whose path, query and headers contain the secret.
fn request(path: &str) -> TestRequest {
    let path = path.replace("{secret}", SENTINEL);
    let request = TestRequest::get()
        .uri(&format!("{path}?{SENTINEL}"))
        .insert_header(("X-Api-Key", SENTINEL))
        .insert_header(("Authorization", format!("Bearer {SENTINEL}")))
        .insert_header(("Cookie", format!("session={SENTINEL}")))
        .insert_header(("X-Forwarded-For", SENTINEL));
    from_client(1, request)
}

fn debug_text(value: &dyn Debug) -> String {
    format!("{value:?} {value:#?}")
}

/// Returns the message of an error, together with the messages of all its sources.
fn error_text(error: &dyn Error) -> String {
    let mut text = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(" {error:?} {error}");
        source = error.source();
    }
    text
}

#[actix_web::test]
async fn secret_appears_in_no_response_log_error_or_dump() {
    log_lines::collect();
    let mut redis = RedisServer::start();
    let url = format!("redis://:{SENTINEL}@127.0.0.1:{}/0", redis.port());
    let mut client = redis.client();
    let mut set = |name: &str, value: &str| {
        redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut client).unwrap();
    };
    set("slowlog-log-slower-than", "0");
    set("requirepass", SENTINEL);

    let mut outputs = Vec::new();
    let list = || AccessList::new().deny_keys(key::user().key_of(SENTINEL));
    let settings = |prefix: &str| {
        RateGuard::redis(&url)
            .prefix(prefix)
            .key_secret(SENTINEL)
            .deadline(Duration::from_secs(10))
            // Without the denial cache, each check is sent to the store.
            .denial_cache_ttl(Duration::ZERO)
            .headers([HeaderDialect::XRateLimit, HeaderDialect::Draft])
            .rejection_body(RejectionBody::ProblemDetails)
            .on_error(OnError::Closed)
    };
    outputs.push(debug_text(&settings("p").access(list())));
    let guard = settings("p").build().unwrap();
    let denying = settings("q").access(list()).build().unwrap();
    let limit =
        RateLimit::new(&guard, Limit::new("2/minute").key(key::header("X-Api-Key"))).access(list());
    outputs.push(debug_text(&limit));
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service((by_header, by_user, by_bearer, by_cookie, by_path, by_closure, by_all))
            .service(web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok")))
            .service(
                web::resource("/denied")
                    .wrap(RateLimit::new(&denying, Limit::new("2/minute").key(key::user())))
                    .route(web::get().to(async || "ok")),
            )
            .wrap_fn(|request, service| {
                request.extensions_mut().insert(UserId::new(SENTINEL));
                service.call(request)
            }),
    )
    .await;
    const PATHS: [&str; 9] = [
        "/header",
        "/user",
        "/bearer",
        "/cookie",
        "/path/{secret}",
        "/closure",
        "/all",
        "/middleware",
        "/denied",
    ];
    let mut statuses = Vec::new();
    for path in PATHS {
        for _ in 0..6 {
            let response = send(&app, request(path)).await;
            statuses.push(response.status);
            outputs.push(format!("{response:?}"));
        }
    }
    for status in [200, 429, 403] {
        assert!(statuses.contains(&status), "{statuses:?}");
    }

    let policy = Policy::new("direct", "1/minute").unwrap();
    let secret = Key::from(SENTINEL);
    let decision = guard.check(&policy, &secret).await.unwrap();
    let reservation = guard.request(&policy, &secret).reserve().await.unwrap();
    outputs.extend([
        debug_text(&guard),
        debug_text(&decision),
        debug_text(&secret),
        debug_text(&reservation),
    ]);
    outputs.extend([
        debug_text(&policy),
        debug_text(&UserId::new(SENTINEL)),
        debug_text(&key::header("X-Api-Key")),
    ]);

    // The secret must not be in the RDB file and the slow log of the Redis server.
    redis::cmd("AUTH").arg(SENTINEL).exec(&mut client).unwrap();
    redis::cmd("SAVE").exec(&mut client).unwrap();
    let dump = fs::read(redis.folder().join("dump.rdb")).unwrap();
    assert!(dump.len() > 1_000, "the dump is empty");
    outputs.push(String::from_utf8_lossy(&dump).into_owned());
    type Entry = (i64, i64, i64, Vec<Vec<u8>>, String, String);
    let slow: Vec<Entry> = redis::cmd("SLOWLOG").arg("GET").arg(1_000).query(&mut client).unwrap();
    let arguments =
        |it: &Entry| it.3.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
    let calls: Vec<Vec<String>> = slow.iter().map(arguments).collect();
    assert!(calls.iter().any(|it| it[0].starts_with("EVAL")), "the slow log has no check");
    outputs.push(format!(
        "{:?}",
        calls.iter().filter(|it| it[0].starts_with("EVAL")).collect::<Vec<_>>()
    ));

    // The test kills the Redis server and starts it again without a password. After that, the server requires a
    // different password.
    drop(client);
    redis.kill();
    for path in PATHS {
        let response = send(&app, request(path)).await;
        assert!([503, 403].contains(&response.status), "{response:?}");
        outputs.push(format!("{response:?}"));
    }
    outputs.push(error_text(&guard.check(&policy, &secret).await.unwrap_err()));
    outputs.push(debug_text(&guard.failures()));
    redis.restart();
    let mut client = redis.client();
    redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("other").exec(&mut client).unwrap();
    for path in PATHS {
        outputs.push(format!("{:?}", send(&app, request(path)).await));
    }
    eventually("the guard logs the rejected password", || {
        (!log_lines::with("store check failed").is_empty()).then_some(())
    });
    for url in [
        format!("redis://:{SENTINEL}@:port"),
        format!("http://{SENTINEL}"),
        format!("redis://{SENTINEL}/x"),
    ] {
        outputs.push(error_text(&RateGuard::redis(url).prefix("test").build().unwrap_err()));
    }
    outputs
        .push(error_text(&RateGuard::builder().key_secret(&SENTINEL[..15]).build().unwrap_err()));

    // An output that contains only the first 15 bytes of the secret is a leak too.
    let part = &SENTINEL[..15];
    for text in &outputs {
        assert!(!text.contains(part), "{text}");
    }
    assert_eq!(log_lines::from_all_targets_with(part), Vec::<String>::new());
}
