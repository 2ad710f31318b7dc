use actix_rateguard::{key, rate_limit};

const POINTER: &str = "email";

#[rate_limit(rate = "5/minute", key = "json:email")]
async fn pointer_without_slash() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = "ip+json:/a~2")]
async fn pointer_with_invalid_escape() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = "form:")]
async fn form_without_name() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = key::json("email"))]
async fn invalid_pointer_in_a_call() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = key::ip().and(key::header("X Key")))]
async fn invalid_name_in_a_method_call() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = key::json(POINTER))]
async fn constant_in_a_call() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = tenant_of(5))]
async fn other_call() -> &'static str {
    "ok"
}

fn main() {}
