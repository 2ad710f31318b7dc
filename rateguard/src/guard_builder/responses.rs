//! The methods of the builder that set how the guard treats HTTP requests and responses.

use std::time::Duration;

use actix_rateguard_headers::HeaderDialect;
use actix_web::{HttpRequest, HttpResponse};

use super::RateGuardBuilder;
use crate::{AccessList, ClientAddress, Rejection, RejectionBody, on_reject::OnReject};

/// Settings for HTTP requests and responses.
impl<S> RateGuardBuilder<S> {
    /// Sets how the guard determines the address of a client. If clients connect through proxies, use
    /// [`ClientAddress::behind`]. Default: [`ClientAddress::peer`], which is the address of the TCP peer.
    pub fn client_address(mut self, client_address: ClientAddress) -> Self {
        self.http.client_address = client_address;
        self
    }

    /// Sets the clients that this guard never limits, and the clients that this guard always rejects with 403.
    /// Default: an empty list.
    pub fn access(mut self, list: AccessList) -> Self {
        self.http.access = list;
        self
    }

    /// Sets the formats of the header fields that report a decision to the client. Each format is a
    /// [`HeaderDialect`]. With an empty list, the guard writes none of these fields. Default:
    /// [`HeaderDialect::XRateLimit`], which most clients support.
    ///
    /// The list does not affect `Retry-After`: a denied request that can be allowed later gets it, even with an empty
    /// list. If two formats of the list write the same field, such as
    /// `XRateLimit` and `XRateLimitEpoch`, [`build`](Self::build) returns an error.
    ///
    /// ```
    /// # use actix_rateguard::{RateGuard, headers::HeaderDialect};
    /// let both = RateGuard::builder().headers([HeaderDialect::XRateLimit, HeaderDialect::Draft]);
    /// let none = RateGuard::builder().headers([]);
    /// ```
    pub fn headers(mut self, dialects: impl IntoIterator<Item = HeaderDialect>) -> Self {
        self.http.headers = dialects.into_iter().collect();
        self
    }

    /// Sets the maximum random delay that the guard adds to `Retry-After`. Without such a delay, clients that were
    /// denied at the same time would all retry at the same time. Default: zero. If `max` is above 1 hour or not a whole
    /// number of seconds, [`build`](Self::build) returns an error.
    pub fn retry_jitter(mut self, max: Duration) -> Self {
        self.http.retry_jitter = max;
        self
    }

    /// Sets the maximum length in bytes of a request body from which a limit reads its key
    /// ([`key::json`](crate::key::json), [`key::form`](crate::key::form)). A longer body has no key. Default: 8,192. If
    /// `bytes` is zero or above 1,048,576, [`build`](Self::build) returns an error.
    ///
    /// Each request with such a limit needs this memory until its handler has read the body. The bound does not change
    /// the bodies that a handler accepts.
    pub fn max_key_body(mut self, bytes: usize) -> Self {
        self.http.max_key_body = bytes;
        self
    }

    /// Sets the format of the body in a response that rejects a request. Default: [`RejectionBody::Negotiated`].
    pub fn rejection_body(mut self, body: RejectionBody) -> Self {
        self.http.body = body;
        self
    }

    /// Replaces the response to rejected requests. If the function returns `None`, RateGuard sends its own response. By
    /// default, RateGuard sends its own response to every rejected request.
    ///
    /// | [`Rejection`] | Default status | The request is rejected because |
    /// |---|---|---|
    /// | [`Denied`](Rejection::Denied) | 429 | a limit has no room for the request, or the client is banned |
    /// | [`Forbidden`](Rejection::Forbidden) | 403 | an access list denies the client, or the request lacks a required key ([`MissingKey::Deny`](crate::MissingKey::Deny)) |
    /// | [`Unavailable`](Rejection::Unavailable) | 503 | the store failed, and the limit fails closed |
    /// | [`Misconfigured`](Rejection::Misconfigured) | 500 | a policy, plan or guard is missing, or two limits have the same name and different settings |
    ///
    /// RateGuard adds these header fields to your response:
    ///
    /// - `Cache-Control: no-store`
    /// - the fields that report the decision, if there is a decision
    /// - `Retry-After`, if a later retry can succeed
    ///
    /// If your key or plan function returns an error, this error becomes the response, and RateGuard does not call the
    /// `on_reject` function.
    ///
    /// A limit can have its own function: [`Limit::on_reject`](crate::Limit::on_reject), or `on_reject` in the macro
    /// attribute. If the function of the limit returns `None`, RateGuard calls the function of the guard.
    ///
    /// ```
    /// # use actix_web::HttpResponse;
    /// # use actix_rateguard::RateGuard;
    /// // A body for denials. All other rejections have the response of RateGuard.
    /// let denials = RateGuard::builder().on_reject(|_, rejection| {
    ///     let decision = rejection.decision()?;
    ///     let body = format!("The limit is {}.", decision.limit());
    ///     Some(HttpResponse::build(rejection.status()).body(body))
    /// });
    ///
    /// // A body for all rejections.
    /// let all = RateGuard::builder().on_reject(|request, rejection| {
    ///     let body = format!("{} is not available for you now.", request.path());
    ///     Some(HttpResponse::build(rejection.status()).body(body))
    /// });
    /// ```
    pub fn on_reject(
        mut self,
        response: impl Fn(&HttpRequest, &Rejection) -> Option<HttpResponse> + Send + Sync + 'static,
    ) -> Self {
        self.http.on_reject = Some(OnReject::new(response));
        self
    }

    /// Sets whether macro attributes use this guard. Macro attributes find their guard in the application's data.
    /// Default: `true`.
    ///
    /// With `true`, the guard must have all policies that the macro attributes of the program use. If a limit or policy
    /// of the guard has the same name as the limit of a macro attribute, both must have the same settings. If a program
    /// has several guards, set `false` for each guard that serves no handler with a macro attribute.
    pub fn for_attributes(mut self, is_for_attributes: bool) -> Self {
        self.http.is_for_attributes = is_for_attributes;
        self
    }
}
