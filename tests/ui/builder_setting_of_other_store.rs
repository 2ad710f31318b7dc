//! A guard in memory has no settings for a store that can fail, and none for keys in Redis.

use std::time::Duration;

use actix_rateguard::{OnError, RateGuard};

fn main() {
    let _ = RateGuard::builder().prefix("shop").build();
    let _ = RateGuard::builder().on_error(OnError::Closed).build();
    let _ = RateGuard::builder().deadline(Duration::from_secs(1)).build();
}
