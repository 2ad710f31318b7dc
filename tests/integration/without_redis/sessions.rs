//! Tests the keys `identity` and `session`, which use actix-identity and actix-session.

use actix_identity::{Identity, IdentityMiddleware};
use actix_rateguard::{Limit, RateGuard, RateLimit, key, rate_limit};
use actix_session::{
    Session, SessionMiddleware, config::CookieContentSecurity, storage::CookieSessionStore,
};
use actix_web::{
    App, HttpMessage, HttpRequest, HttpResponse, Responder,
    cookie::Key as CookieKey,
    get, post,
    test::{TestRequest, init_service},
    web,
};

use crate::support::{
    app::{from_client, send},
    log_lines,
};

#[post("/login/{user}")]
async fn login(request: HttpRequest, user: web::Path<String>, session: Session) -> impl Responder {
    Identity::login(&request.extensions(), user.clone()).unwrap();
    session.insert("user_id", user.len()).unwrap();
    session.insert("name", &*user).unwrap();
    HttpResponse::Ok()
}

macro_rules! handlers {
    ($($name:ident $path:literal $key:literal;)*) => {$(
        #[get($path)]
        #[rate_limit(rate = "1/minute", key = $key)]
        async fn $name() -> impl Responder {
            "ok"
        }
    )*};
}

handlers! {
    by_identity "/identity" "identity";
    by_session "/session" "session:name";
    by_number "/number" "session:user_id";
}

#[actix_web::test]
async fn session_of_another_version_is_no_key_and_the_warning_names_the_version() {
    use actix_session_other::{Session, SessionMiddleware, storage::CookieSessionStore};

    log_lines::collect();
    let guard = RateGuard::in_memory();
    let limit = Limit::new("1000/minute").key(key::session("name")).name("other-session");
    // The inner middleware reads the session before the limit could find it, so the session has the value.
    let fill = async |session: Session| {
        session.insert("name", "ann").unwrap();
        session.get::<String>("name").unwrap()
    };
    let app = App::new()
        .route("/", web::get().to(fill))
        .wrap(RateLimit::new(&guard, limit))
        .wrap(SessionMiddleware::new(CookieSessionStore::default(), CookieKey::generate()));
    let app = init_service(app).await;
    for _ in 0..100 {
        assert_eq!(send(&app, from_client(1, TestRequest::get().uri("/"))).await.status, 200);
    }
    let lines = log_lines::with("limit `other-session` at ");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let version = version_in_manifest("actix-session");
    let advice = format!(
        "The middleware must be of actix-session {version}: RateGuard does not find the sessions of other versions"
    );
    assert!(lines[0].contains(&advice), "{lines:?}");
}

/// Returns the version of a dependency of the workspace.
fn version_in_manifest(name: &str) -> String {
    let manifest: toml::Table = include_str!("../../../Cargo.toml").parse().unwrap();
    let dependency = &manifest["workspace"]["dependencies"][name];
    let version = dependency.get("version").unwrap_or(dependency);
    version.as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn missing_identity_middleware_is_logged_at_the_first_request() {
    log_lines::collect();
    let guard = RateGuard::in_memory();
    let limit = Limit::new("1/minute").key(key::identity()).name("no-identity");
    let app =
        App::new().route("/", web::get().to(async || "ok")).wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    let status = async || send(&app, from_client(1, TestRequest::get().uri("/"))).await.status;
    // The request has no key, so the limit counts it by address.
    assert_eq!([status().await, status().await], [200, 429]);
    let version = version_in_manifest("actix-identity");
    let text =
        format!("no `IdentityMiddleware` of actix-identity {version} has handled the request");
    let lines = log_lines::with(&text);
    assert!(lines.iter().any(|line| line.starts_with("ERROR ")), "{lines:?}");
}

#[actix_web::test]
async fn identities_and_sessions_have_separate_buckets() {
    let guard = RateGuard::in_memory();
    let ok = || web::get().to(async || "ok");
    let sessions = SessionMiddleware::builder(CookieSessionStore::default(), CookieKey::generate())
        .cookie_content_security(CookieContentSecurity::Private)
        .build();
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service((login, by_identity, by_session, by_number))
            .service(
                web::resource("/middleware/identity")
                    .wrap(RateLimit::new(
                        &guard,
                        Limit::new("1/minute").key(key::identity()).name("identity"),
                    ))
                    .route(ok()),
            )
            .service(
                web::resource("/middleware/session")
                    .wrap(RateLimit::new(
                        &guard,
                        Limit::new("1/minute").key(key::session("name")).name("session"),
                    ))
                    .route(ok()),
            )
            .wrap(IdentityMiddleware::default())
            .wrap(sessions),
    )
    .await;
    let cookie = async |user: &str| {
        let request = TestRequest::post().uri(&format!("/login/{user}"));
        let response = send(&app, from_client(1, request)).await;
        let cookie = response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        move |path: &str, client| {
            let request = TestRequest::get().uri(path).insert_header(("Cookie", &*cookie));
            from_client(client, request)
        }
    };
    let (ann, bob) = (cookie("ann").await, cookie("robert").await);
    for path in ["/identity", "/session", "/number", "/middleware/identity", "/middleware/session"]
    {
        let status = async |request| send(&app, request).await.status;
        assert_eq!([status(ann(path, 1)).await, status(ann(path, 2)).await], [200, 429], "{path}");
        assert_eq!(status(bob(path, 1)).await, 200, "{path}");
        // A client that is not logged in must be counted by address.
        let anonymous = |client| from_client(client, TestRequest::get().uri(path));
        assert_eq!([status(anonymous(1)).await, status(anonymous(1)).await], [200, 429], "{path}");
        assert_eq!(status(anonymous(2)).await, 200, "{path}");
        // A client with a forged session cookie has no session. Therefore it must be counted by address too.
        let forged =
            from_client(1, TestRequest::get().uri(path).insert_header(("Cookie", "id=forged")));
        assert_eq!(status(forged).await, 429, "{path}");
    }
    let session_key = key::session("name").key_of("ann").unwrap();
    let policy = actix_rateguard::Policy::new("session", "1/minute").unwrap();
    guard.reset(&policy, &session_key).await.unwrap();
    assert_eq!(send(&app, ann("/middleware/session", 1)).await.status, 200);
}
