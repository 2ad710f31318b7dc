//! What a request costs.

mod body;

use actix_web::HttpRequest;

pub use body::BodyCost;

/// What a request costs: a number, a closure or function over `&HttpRequest` that returns one, or a [`BodyCost`].
///
/// ```
/// # use actix_web::HttpRequest;
/// # use rateguard::{BodyCost, RateGuard, RateLimit};
/// # let guard = RateGuard::in_memory();
/// let fixed = RateLimit::new(&guard, "100/minute").cost(5);
/// let by_size = RateLimit::new(&guard, "10000/minute").cost(BodyCost::per_bytes(1_024));
/// let by_path = RateLimit::new(&guard, "100/minute").cost(|request: &HttpRequest| {
///     if request.path().starts_with("/search/") { 10 } else { 1 }
/// });
/// ```
///
/// A function that reads a number from a request should treat what it cannot read as dear, not as free: as a `u32`,
/// `Content-Length: 4294967296` is no number.
pub trait RequestCost: Send + Sync + 'static {
    /// How many units this request costs. 0 is admitted always; more than the limit never.
    fn cost(&self, request: &HttpRequest) -> u32;

    /// The cost, if it is the same for all requests.
    fn constant(&self) -> Option<u32> {
        None
    }
}

impl RequestCost for u32 {
    fn cost(&self, _: &HttpRequest) -> u32 {
        *self
    }

    fn constant(&self) -> Option<u32> {
        Some(*self)
    }
}

impl<F> RequestCost for F
where
    F: Fn(&HttpRequest) -> u32 + Send + Sync + 'static,
{
    fn cost(&self, request: &HttpRequest) -> u32 {
        self(request)
    }
}
