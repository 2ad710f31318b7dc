//! Determines how many units a request costs.

mod body;
mod source;

use actix_web::HttpRequest;

pub use body::BodyCost;
pub(crate) use source::CostSource;
pub use source::IntoCost;

/// The cost of a request in units. A cost is a number, a closure or function over `&HttpRequest` that returns a
/// number, or a [`BodyCost`].
///
/// ```
/// # use actix_web::HttpRequest;
/// # use actix_rateguard::{BodyCost, Limit};
/// let fixed = Limit::new("100/minute").cost(5);
/// let by_size = Limit::new("10000/minute").cost(BodyCost::per_bytes(1_024));
/// let by_path = Limit::new("100/minute").cost(|request: &HttpRequest| {
///     if request.path().starts_with("/search/") { 10 } else { 1 }
/// });
/// ```
///
/// A cost function that parses a number in a request should return a high cost for a text that it cannot parse, because
/// a client could send such a text to pay less. For example, the number in `Content-Length: 4294967296` does not fit
/// into a `u32`.
pub trait RequestCost: Send + Sync + 'static {
    /// Returns the cost of this request in units. A request that costs 0 is denied only if the client is banned. A
    /// request that costs more than the limit is always denied.
    fn cost(&self, request: &HttpRequest) -> u32;

    /// Returns the cost if it is the same for all requests, or `None` if it depends on the request. Default:
    /// `None`.
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
