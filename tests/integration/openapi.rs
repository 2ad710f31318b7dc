//! Tests the responses of limits in an OpenAPI document, with a validator of the specification, and against the
//! responses of two servers with a common Redis.

use std::{env, fs, process::Command};

use actix_rateguard::{
    HeaderDialect, Limit, OnError, RateGuard, RateLimit, RejectionBody, openapi::LimitResponses,
    rate_limit,
};
use actix_web::{App, get, post, test::init_service, web};
use boon::{Compiler, Schemas};
use serde_json::{Value, json};
use utoipa::{Modify, OpenApi};

use crate::support::{
    app::{Response, from_client, send},
    folder::Folder,
    redis_server::RedisServer,
    skipped,
};

mod search {
    use super::*;

    /// Searches.
    #[utoipa::path(get, path = "/openapi/search", responses((status = 200, body = String)))]
    #[get("/openapi/search")]
    #[rate_limit(rate = "1/minute; 100/day", name = "openapi-search")]
    #[rate_limit(rate = "500/day", key = "global", on_error = "closed", name = "openapi-all")]
    pub async fn openapi_search() -> String {
        "found".to_owned()
    }
}

#[utoipa::path(post, path = "/openapi/own", responses(
    (status = 200),
    (status = 429, description = "My own text.", headers(("x-ratelimit-limit" = String)))
))]
#[post("/openapi/own")]
#[rate_limit(rate = "7/minute", name = "openapi-own")]
async fn openapi_own() -> &'static str {
    "ok"
}

#[utoipa::path(get, path = "/openapi/api/items", operation_id = "list-items")]
#[get("/openapi/api/items")]
#[rate_limit(rate = "9/minute", methods = "GET", name = "openapi-items")]
async fn openapi_items() -> &'static str {
    "ok"
}

#[utoipa::path(get, path = "/openapi/shadow", responses((status = 200, description = "ok")))]
#[get("/openapi/shadow")]
#[rate_limit(rate = "1/minute", shadow = true, name = "openapi-shadow")]
async fn openapi_shadow() -> &'static str {
    "ok"
}

#[derive(OpenApi)]
#[openapi(paths(search::openapi_search, openapi_own, openapi_items, openapi_shadow))]
struct Api;

/// Returns the document with the limits of the guard as JSON.
fn document(limits: &LimitResponses<'_>) -> Value {
    let mut api = Api::openapi();
    limits.modify(&mut api);
    serde_json::to_value(&api).unwrap()
}

fn responses<'a>(document: &'a Value, method: &str, path: &str) -> &'a Value {
    &document["paths"][path][method]["responses"]
}

fn header_names(response: &Value) -> Vec<&str> {
    response["headers"].as_object().map_or(Vec::new(), |it| it.keys().map(String::as_str).collect())
}

#[actix_web::test]
async fn limited_operation_has_the_responses_of_its_limits() {
    let redis = RedisServer::start();
    let guard = redis.guard("openapi");
    let document = document(&LimitResponses::of(&guard));
    let search = responses(&document, "get", "/openapi/search");
    let denied = &search["429"];
    assert_eq!(
        denied["description"],
        "Too many requests. At most 1/minute; 100/day. At most 500/day."
    );
    let limit = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];
    assert_eq!(header_names(denied), [&["Retry-After"], &limit[..]].concat());
    assert_eq!(header_names(&search["200"]), limit);
    assert_eq!(header_names(&search["503"]), ["Retry-After"]);
    let bodies: Vec<_> = denied["content"].as_object().unwrap().keys().collect();
    assert_eq!(bodies, ["application/problem+json", "text/plain"]);

    let own = responses(&document, "post", "/openapi/own");
    assert_eq!(own["429"]["description"], "My own text.");
    assert_eq!(own["429"]["headers"]["x-ratelimit-limit"]["schema"]["type"], "string");
    assert_eq!(own["503"], Value::Null);
    // The id of this operation is not the name of its handler, and a limit in shadow mode denies nothing.
    assert_eq!(responses(&document, "get", "/openapi/api/items"), &json!({}));
    let shadow = responses(&document, "get", "/openapi/shadow");
    assert_eq!(shadow, &json!({"200": {"description": "ok"}}));
}

#[actix_web::test]
async fn operations_and_paths_get_the_limits_that_the_program_names() {
    let guard = RateGuard::in_memory();
    let middleware = RateLimit::new(&guard, Limit::new("3/hour").name("openapi-scope"));
    let posts = RateLimit::new(&guard, Limit::new("2/hour").methods("POST").name("openapi-posts"));
    let _app = init_service(App::new().service(web::scope("").wrap(middleware)).wrap(posts)).await;
    let limits = LimitResponses::of(&guard)
        .operation("list-items", "openapi-items")
        .below("/openapi/api", "openapi-scope")
        .below("/", "openapi-posts");
    let document = document(&limits);
    let items = &responses(&document, "get", "/openapi/api/items")["429"];
    assert_eq!(items["description"], "Too many requests. At most 9/minute. At most 3/hour.");
    let mut api = Api::openapi();
    let undocumented = limits.undocumented(&api);
    assert!(!undocumented.iter().any(|it| it.starts_with("openapi-")), "{undocumented:?}");
    api.paths.paths.remove("/openapi/search");
    let undocumented = limits.undocumented(&api);
    let missing: Vec<_> = undocumented.iter().filter(|it| it.starts_with("openapi-")).collect();
    assert_eq!(missing, ["openapi-search", "openapi-all"]);
}

/// Sends requests until one of two servers denies one.
async fn denied_response(guards: &[RateGuard; 2], accept: &str) -> Response {
    for guard in guards {
        let app = App::new().app_data(guard.clone()).service(search::openapi_search);
        let app = init_service(app).await;
        let request = actix_web::test::TestRequest::with_uri("/openapi/search");
        let response = send(&app, from_client(1, request.insert_header(("Accept", accept)))).await;
        if response.status == 429 {
            return response;
        }
    }
    panic!("the second request exceeds the limit");
}

#[actix_web::test]
async fn document_describes_the_responses_of_servers() {
    let redis = RedisServer::start();
    for (index, (dialects, body, accept)) in [
        (vec![HeaderDialect::XRateLimit], RejectionBody::Negotiated, "application/json"),
        (vec![HeaderDialect::XRateLimitEpoch], RejectionBody::Text, "application/json"),
        (HeaderDialect::ALL[..1].to_vec(), RejectionBody::Negotiated, "*/*"),
        (
            vec![HeaderDialect::XRateLimit, HeaderDialect::Draft],
            RejectionBody::ProblemDetails,
            "*/*",
        ),
        (vec![], RejectionBody::ProblemDetails, "*/*"),
    ]
    .into_iter()
    .enumerate()
    {
        let guards = [(); 2].map(|()| {
            let settings = redis.settings(&format!("openapi-{index}")).headers(dialects.clone());
            settings.rejection_body(body).on_error(OnError::Closed).build().unwrap()
        });
        let document = document(&LimitResponses::of(&guards[0]));
        let response = denied_response(&guards, accept).await;
        let documented = &responses(&document, "get", "/openapi/search")["429"];

        let mut names = header_names(documented);
        names.iter_mut().for_each(|name| {
            assert!(response.header(name).is_some(), "{name} {:?}", response.headers);
        });
        let limit_fields = response
            .headers
            .keys()
            .filter(|name| name.as_str().contains("ratelimit") || name.as_str() == "retry-after");
        assert_eq!(limit_fields.count(), names.len(), "{:?}", response.headers);
        let media_type = response.header("content-type").unwrap().split(';').next().unwrap();
        let content = &documented["content"][media_type];
        assert!(content.is_object(), "{media_type}");
        if media_type == "application/problem+json" {
            let schema = &document["components"]["schemas"]["RateLimitProblem"];
            assert_valid(&serde_json::from_str(&response.body).unwrap(), schema);
        }
    }
}

fn assert_valid(value: &Value, schema: &Value) {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("schema.json", schema.clone()).unwrap();
    let schema = compiler.compile("schema.json", &mut schemas).unwrap();
    if let Err(error) = schemas.validate(value, schema) {
        panic!("{error}: {value}");
    }
}

#[actix_web::test]
async fn document_is_valid_openapi() {
    let path = env::var_os("OPENAPI_VALIDATOR").map(std::path::PathBuf::from);
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/openapi-validator/validate");
    let path = path.unwrap_or_else(|| installed.into());
    if !path.exists() {
        return skipped("this test needs openapi-spec-validator, which `scripts/test` installs");
    }
    let redis = RedisServer::start();
    let guard =
        redis.settings("openapi-valid").headers([HeaderDialect::XRateLimit, HeaderDialect::Draft]);
    let guard = guard.build().unwrap();
    let document = document(&LimitResponses::of(&guard).operation("list-items", "openapi-items"));
    let folder = Folder::new();
    let validate = |document: &Value| {
        let file = folder.file("openapi.json", &document.to_string());
        Command::new(&path).arg(file).output().unwrap()
    };
    let output = validate(&document);
    assert!(output.status.success(), "{output:?}");
    // The validator rejects a document whose response has no description.
    let mut invalid = document;
    invalid["paths"]["/openapi/search"]["get"]["responses"]["429"]["description"] = Value::Null;
    let output = validate(&invalid);
    assert!(!output.status.success(), "{output:?}");
    let _ = fs::remove_dir_all(folder.path());
}
