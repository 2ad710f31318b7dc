use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute", on_error = "shut")]
async fn handler() -> &'static str {
    "ok"
}

fn main() {}
