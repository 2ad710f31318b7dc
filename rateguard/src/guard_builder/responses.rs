//! The methods of the builder that set how the guard treats HTTP requests and responses.

use std::{sync::Arc, time::Duration};

use actix_rateguard_headers::HeaderDialect;
use actix_web::{HttpRequest, HttpResponse};

use super::RateGuardBuilder;
use crate::{AccessList, ClientAddress, Decision, RejectionBody};

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
    /// The response to a denied request always has `Retry-After`, unless the request can never be allowed.
    /// If two formats of the list write the same field, such as `XRateLimit` and `XRateLimitEpoch`,
    /// [`build`](Self::build) returns an error.
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
    /// denied at the same time would all retry at the same time. Default: zero. `max` must be a whole number of
    /// seconds, at most 1 hour. Otherwise, [`build`](Self::build) returns an error.
    pub fn retry_jitter(mut self, max: Duration) -> Self {
        self.http.retry_jitter = max;
        self
    }

    /// Sets the format of the body in a response that rejects a request. Default: [`RejectionBody::Negotiated`].
    pub fn rejection_body(mut self, body: RejectionBody) -> Self {
        self.http.body = body;
        self
    }

    /// Replaces the response to denied requests. RateGuard adds header fields to your response: the fields that
    /// report the decision, `Retry-After`, and `Cache-Control: no-store`. Default: status 429 with the body that
    /// [`rejection_body`](Self::rejection_body) sets.
    ///
    /// ```
    /// # use actix_web::{HttpRequest, HttpResponse};
    /// # use actix_rateguard::{Decision, RateGuard};
    /// let guard = RateGuard::builder().on_denied(|_: &HttpRequest, decision: &Decision| {
    ///     HttpResponse::TooManyRequests().body(format!("The limit is {}.", decision.limit()))
    /// });
    /// ```
    pub fn on_denied(
        mut self,
        response: impl Fn(&HttpRequest, &Decision) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.http.on_denied = Some(Arc::new(response));
        self
    }

    /// Sets whether macro attributes use this guard. Macro attributes find their guard in the application's data. If
    /// `false`, the guard does not need the policies that macro attributes use. Default: `true`.
    pub fn for_attributes(mut self, is_for_attributes: bool) -> Self {
        self.http.is_for_attributes = is_for_attributes;
        self
    }
}
