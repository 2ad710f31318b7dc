//! A limit of a middleware is text, quotas or a `Limit`. Its settings are text or typed values.

use actix_rateguard::{Limit, RateGuard, RateLimit};

fn main() {
    let guard = RateGuard::in_memory();
    let _ = RateLimit::new(&guard, 5);
    let _ = RateLimit::new(&guard, Limit::new(5));
    let _ = Limit::new("5/minute").key(5);
    let _ = Limit::new("5/minute").methods(5);
    let _ = Limit::new("5/minute").count(404);
    let _ = Limit::plan("5/minute");
}
