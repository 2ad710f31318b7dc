//! The responses to requests that do not reach their handler.

use actix_web::{Error, HttpRequest, HttpResponse};

use super::{
    headers::{jitter, write_no_store, write_retry_after},
    rejection::{STORE_RETRY_AFTER, default_response},
};
use crate::{
    Rejection, UndecidedReason, not_checked::NotChecked, on_reject::OnReject,
    request_state::RequestState, settings::HttpSettings,
};

/// The reason why the client gets a response without the handler.
pub(crate) enum EarlyResponse {
    /// RateGuard rejects the request. `on_reject` is the function of the limit that rejects the request.
    Rejection { rejection: Box<Rejection>, on_reject: Option<OnReject> },
    /// A function of the application returned an error, which becomes the response.
    Error(Error),
}

impl EarlyResponse {
    pub(crate) fn rejection(rejection: Rejection, on_reject: Option<OnReject>) -> Self {
        Self::Rejection { rejection: Box::new(rejection), on_reject }
    }

    /// Creates the response.
    pub(crate) fn into_response(
        self,
        settings: &HttpSettings,
        request: &HttpRequest,
    ) -> HttpResponse {
        // If the state has a decision, such as a denial, a `CheckResult` contains the decision and not this reason.
        RequestState::of(request).add_undecided(UndecidedReason::Rejected);
        let (rejection, on_reject) = match self {
            Self::Rejection { rejection, on_reject } => (rejection, on_reject),
            // The application sets `Cache-Control` for its own errors, so RateGuard does not change this response.
            Self::Error(error) => return HttpResponse::from_error(error),
        };
        let mut functions = on_reject.iter().chain(&settings.on_reject);
        let mut response = functions
            .find_map(|function| function.call(request, &rejection))
            .unwrap_or_else(|| default_response(&rejection, settings, request));
        if matches!(*rejection, Rejection::Unavailable(_)) {
            let jitter = jitter(settings, request);
            write_retry_after(STORE_RETRY_AFTER, jitter, response.headers_mut());
        }
        write_no_store(response.headers_mut());
        response
    }
}

impl NotChecked {
    /// If the request is exempt from the limit, records the exemption in the state of the request. Otherwise, returns
    /// the rejection as an error.
    ///
    /// # Errors
    ///
    /// [`EarlyResponse`] if the request is not exempt. `on_reject` is the function of the limit.
    pub(crate) fn reject_unless_exempt(
        self,
        request: &HttpRequest,
        on_reject: Option<&OnReject>,
    ) -> Result<(), EarlyResponse> {
        let rejection = match self {
            Self::Exempt(exemption) => {
                RequestState::of(request).add_undecided(UndecidedReason::Exempt(exemption));
                return Ok(());
            }
            Self::Forbidden(reason) => Rejection::Forbidden(reason),
            Self::Misconfigured(reason) => Rejection::Misconfigured(reason),
            Self::Failed(error) => return Err(EarlyResponse::Error(error)),
        };
        Err(EarlyResponse::rejection(rejection, on_reject.cloned()))
    }
}
