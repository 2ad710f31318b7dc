use actix_rateguard::rate_limit;

#[rate_limit(rate = "1000/calendar day Europe/Berln")]
async fn misspelt_zone() -> &'static str {
    "ok"
}

#[rate_limit(rate = "1000/calendar day +01:00")]
async fn offset() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/second; 1000/calendar fortnight")]
async fn unknown_unit() -> &'static str {
    "ok"
}

#[rate_limit(rate = "1000/calendar day UTC fixed_window")]
async fn algorithm_in_rate() -> &'static str {
    "ok"
}

#[rate_limit(rate = "1000/calendar day", algorithm = "fixed_window")]
async fn algorithm() -> &'static str {
    "ok"
}

#[rate_limit(rate = "1000/calendar day", lease = 50)]
async fn lease() -> &'static str {
    "ok"
}

#[rate_limit(limit = 1000, window = "calendar day")]
async fn window() -> &'static str {
    "ok"
}

fn main() {}
