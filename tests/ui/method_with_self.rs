use actix_rateguard::rate_limit;

struct Api;

impl Api {
    #[rate_limit(rate = "5/minute")]
    async fn list(&self) -> &'static str {
        "ok"
    }
}

fn main() {}
