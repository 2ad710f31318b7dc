//! Extra units that a handler adds to the cost of a request.

use std::{fmt, rc::Rc};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload};
use futures_util::future::{Ready, ready};

use crate::{added_units::AddedUnits, request_state::RequestState};

/// Lets a handler charge extra units for a request, for example for a failed login or an expensive search.
///
/// The guard charges the units after the handler has responded, even if the units exceed the limit. The headers of the
/// response report the units that are left after the charge.
///
/// The limits that are closest to the handler count the penalty. Usually, these are the limits of the handler's macro
/// attributes. If no limit of a macro attribute applies to the request, the limits of the innermost middleware that has
/// a limit for the request count the penalty.
///
/// If all limits that are closest to the handler are in shadow mode, the penalty also applies to the closest middleware
/// around the handler that has an enforced limit. Middlewares between this middleware and the handler count the
/// penalty, too.
///
/// A penalty has no effect if no limit applies to the request. If the route has no limit, the guard logs one warning
/// for this route.
///
/// ```
/// # use actix_web::{HttpResponse, post, web};
/// # use actix_rateguard::{Penalty, rate_limit};
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
    state: Rc<RequestState>,
}

impl Penalty {
    /// The maximum penalty for one request: 10,000 units.
    pub const MAX: u32 = 10_000;

    /// Adds units to the penalty of the request. The total penalty of a request is at most [`MAX`](Self::MAX).
    pub fn add(&self, units: u32) {
        let added = self.state.penalty.get();
        let total = added.total.saturating_add(units).min(Self::MAX);
        self.state.penalty.set(AddedUnits { total, ..added });
    }
}

impl FromRequest for Penalty {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = RequestState::of(request);
        state.record_penalty_route(request);
        ready(Ok(Self { state }))
    }
}

impl fmt::Debug for Penalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Penalty").field("units", &self.state.penalty.get().total).finish()
    }
}
