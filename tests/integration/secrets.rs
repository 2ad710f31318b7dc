//! What nobody may find out: passwords, API keys and user ids.

use std::{error::Error, fmt::Debug, fs, time::Duration};

use actix_web::{
    App, HttpMessage, HttpRequest, Responder,
    dev::Service,
    get,
    test::{TestRequest, init_service},
    web,
};
use rateguard::{
    AccessList, Key, OnError, Policy, RateGuard, RateLimit, RefusalBody, UserId,
    headers::HeaderDialect, key, rate_limit,
};

use crate::support::{
    app::{from_client, send},
    eventually, log_lines,
    redis_server::RedisServer,
};

/// Nothing else in this program has it in it.
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

/// The secret in every place in which an application may have it.
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

fn shown(what: &dyn Debug) -> String {
    format!("{what:?} {what:#?}")
}

fn told(error: &dyn Error) -> String {
    let mut text = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(" {error:?} {error}");
        source = error.source();
    }
    text
}

#[actix_web::test]
async fn a_secret_is_in_no_response_log_debug_text_error_or_dump() {
    log_lines::collect();
    let mut redis = RedisServer::start();
    let url = format!("redis://:{SENTINEL}@127.0.0.1:{}/0", redis.port());
    let mut client = redis.client();
    let mut set = |name: &str, value: &str| {
        redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut client).unwrap();
    };
    set("slowlog-log-slower-than", "0");
    set("requirepass", SENTINEL);

    let mut seen = Vec::new();
    let list = || AccessList::new().deny_keys(key::user().key_of(SENTINEL));
    let settings = |prefix: &str| {
        RateGuard::redis(&url)
            .prefix(prefix)
            .key_secret(SENTINEL)
            .deadline(Duration::from_secs(10))
            // It is missed as soon as it goes.
            .remember_denials(Duration::ZERO)
            .headers([HeaderDialect::XRateLimit, HeaderDialect::Draft])
            .refusal_body(RefusalBody::ProblemDetails)
            .on_error(OnError::Closed)
    };
    seen.push(shown(&settings("p").access(list())));
    let guard = settings("p").build().unwrap();
    let refusing = settings("q").access(list()).build().unwrap();
    let limit = RateLimit::new(&guard, "2/minute").by(key::header("X-Api-Key")).access(list());
    seen.push(shown(&limit));
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service((by_header, by_user, by_bearer, by_cookie, by_path, by_closure, by_all))
            .service(web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok")))
            .service(
                web::resource("/refused")
                    .wrap(RateLimit::new(&refusing, "2/minute").by(key::user()))
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
        "/refused",
    ];
    let mut statuses = Vec::new();
    for path in PATHS {
        for _ in 0..6 {
            let answer = send(&app, request(path)).await;
            statuses.push(answer.status);
            seen.push(format!("{answer:?}"));
        }
    }
    for status in [200, 429, 403] {
        assert!(statuses.contains(&status), "{statuses:?}");
    }

    let policy = Policy::new("direct", "1/minute").unwrap();
    let secret = Key::from(SENTINEL);
    let decision = guard.check(&policy, &secret).await.unwrap();
    let reservation = guard.request(&policy, &secret).reserve().await.unwrap();
    seen.extend([shown(&guard), shown(&decision), shown(&secret), shown(&reservation)]);
    seen.extend([shown(&policy), shown(&UserId::new(SENTINEL)), shown(&key::header("X-Api-Key"))]);

    // What is on the server's disk and in its memory.
    redis::cmd("AUTH").arg(SENTINEL).exec(&mut client).unwrap();
    redis::cmd("SAVE").exec(&mut client).unwrap();
    let dump = fs::read(redis.folder().join("dump.rdb")).unwrap();
    assert!(dump.len() > 1_000, "there is something in it");
    seen.push(String::from_utf8_lossy(&dump).into_owned());
    type Entry = (i64, i64, i64, Vec<Vec<u8>>, String, String);
    let slow: Vec<Entry> = redis::cmd("SLOWLOG").arg("GET").arg(1_000).query(&mut client).unwrap();
    let called =
        |it: &Entry| it.3.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
    let calls: Vec<Vec<String>> = slow.iter().map(called).collect();
    assert!(calls.iter().any(|it| it[0].starts_with("EVAL")), "it has seen the checks");
    seen.push(format!(
        "{:?}",
        calls.iter().filter(|it| it[0].starts_with("EVAL")).collect::<Vec<_>>()
    ));

    // The server goes, and comes back without knowing the password; and another refuses it.
    drop(client);
    redis.kill();
    for path in PATHS {
        let answer = send(&app, request(path)).await;
        assert!([503, 403].contains(&answer.status), "{answer:?}");
        seen.push(format!("{answer:?}"));
    }
    seen.push(told(&guard.check(&policy, &secret).await.unwrap_err()));
    seen.push(shown(&guard.failures()));
    redis.restart();
    let mut client = redis.client();
    redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("other").exec(&mut client).unwrap();
    for path in PATHS {
        seen.push(format!("{:?}", send(&app, request(path)).await));
    }
    eventually("the guard is refused", || {
        (!log_lines::with("no answer from the store").is_empty()).then_some(())
    });
    for url in [
        format!("redis://:{SENTINEL}@:port"),
        format!("http://{SENTINEL}"),
        format!("redis://{SENTINEL}/x"),
    ] {
        seen.push(told(&RateGuard::redis(url).build().unwrap_err()));
    }
    seen.push(told(&RateGuard::builder().key_secret(&SENTINEL[..15]).build().unwrap_err()));

    // Fifteen bytes of it are as bad.
    let part = &SENTINEL[..15];
    for text in &seen {
        assert!(!text.contains(part), "{text}");
    }
    assert_eq!(log_lines::of_everybody_with(part), Vec::<String>::new());
}
