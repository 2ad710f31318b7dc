use rateguard::rate_limit;

#[rate_limit(rate = "5/minute", on_error = "local")]
async fn handler() -> &'static str {
    "ok"
}

fn main() {}
