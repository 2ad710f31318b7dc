//! What a handler charges a request beyond its cost.

use std::{fmt, rc::Rc};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload};
use futures_util::future::{Ready, ready};

use super::kept::Kept;

/// Lets a handler make its request count for more: a failed login, a search that was expensive.
///
/// What it adds is charged once it has answered to the innermost limits that apply to the request, those of the attribute or
/// else of a middleware, beyond the limit if need be. The headers of the response tell what is left after it.
/// It is a no-op where no limit has decided on the request.
///
/// ```
/// # use actix_web::{HttpResponse, post, web};
/// # use rateguard::{Penalty, rate_limit};
/// #[rate_limit(rate = "20/hour", key = "ip", name = "login", ban = "5/hour for 15m up to 1d")]
/// #[post("/login")]
/// async fn login(penalty: Penalty, password: String) -> HttpResponse {
///     if password == "correct horse battery staple" {
///         return HttpResponse::Ok().finish();
///     }
///     penalty.add(4); // together with the request itself, 5 of 20
///     HttpResponse::Unauthorized().finish()
/// }
/// ```
#[derive(Clone)]
pub struct Penalty {
    kept: Rc<Kept>,
}

impl Penalty {
    /// The most that a request may count for more: 10,000 units.
    pub const MAX: u32 = 10_000;

    /// Adds so many units to what the request costs, up to [`MAX`](Self::MAX) in all.
    pub fn add(&self, units: u32) {
        let sum = self.kept.penalty.get().saturating_add(units);
        self.kept.penalty.set(sum.min(Self::MAX));
    }
}

impl FromRequest for Penalty {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self { kept: Kept::of(request) }))
    }
}

impl fmt::Debug for Penalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Penalty").field("units", &self.kept.penalty.get()).finish()
    }
}
