//! The permits that a request holds, which a handler can take as an argument.

use std::convert::Infallible;

use actix_rateguard_core::adapter::PermitWatch;
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::{Ready, ready};
use smallvec::SmallVec;

use crate::request_state::RequestState;

/// The permits that a request holds because of limits on requests in progress, such as `concurrent = 5`.
///
/// The request holds them until its response ends. A handler that runs for a long time can take this argument to find
/// out whether the permits are still valid. The extractor never fails. It holds no permit itself.
///
/// ```
/// # use actix_web::{Responder, get};
/// # use actix_rateguard::RequestPermit;
/// # async fn next_step() -> bool { false }
/// #[get("/export")]
/// async fn export(permit: RequestPermit) -> impl Responder {
///     while next_step().await {
///         if !permit.is_valid() {
///             return "stopped: this server was paused for too long";
///         }
///     }
///     "done"
/// }
/// ```
#[derive(Clone)]
pub struct RequestPermit {
    permits: SmallVec<[PermitWatch; 1]>,
}

impl RequestPermit {
    /// Returns the permits that this request holds. Use this function in middlewares and other code outside handlers.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        let state = RequestState::existing(request);
        Self { permits: state.map_or_else(SmallVec::new, |state| state.permits.borrow().clone()) }
    }

    /// Returns whether all permits are still valid. The result is true if no limit has permits. It is false if the process
    /// was paused, or if the store did not answer, for longer than the lease of a permit. It never becomes true again.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.permits.iter().all(PermitWatch::is_valid)
    }
}

impl std::fmt::Debug for RequestPermit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestPermit").field("is_valid", &self.is_valid()).finish_non_exhaustive()
    }
}

impl FromRequest for RequestPermit {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}
