//! The settings of HTTP responses.

use std::{sync::Arc, time::Duration};

use actix_rateguard_headers::HeaderDialect;
use actix_web::{HttpRequest, HttpResponse};

use super::RateGuardBuilder;
use crate::{AccessList, ClientAddress, Decision, RejectionBody};

/// Settings of responses.
impl<S> RateGuardBuilder<S> {
    /// How the guard determines the address of a client. Use [`ClientAddress::behind`] if clients connect through
    /// proxies. Default: [`ClientAddress::peer`], the address that connected.
    pub fn client_address(mut self, client_address: ClientAddress) -> Self {
        self.http.client_address = client_address;
        self
    }

    /// The clients that this guard never limits, and the clients that this guard always rejects with 403. Default:
    /// none.
    pub fn access(mut self, list: AccessList) -> Self {
        self.http.access = list;
        self
    }

    /// The header fields that report the numbers of a decision: any of [`HeaderDialect`], or none. Default:
    /// [`HeaderDialect::XRateLimit`], which most clients support.
    ///
    /// The response to a denial has `Retry-After` in any case, unless the request can never be allowed. `XRateLimit`
    /// together with `XRateLimitEpoch` is an error of [`build`](Self::build), because both write the same fields.
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

    /// The maximum random delay that the guard adds to `Retry-After`. With the delay, clients that were denied together
    /// do not return together. Default: zero. The maximum is a whole number of seconds up to 1 hour; other values are an
    /// error of [`build`](Self::build).
    pub fn retry_jitter(mut self, max: Duration) -> Self {
        self.http.retry_jitter = max;
        self
    }

    /// The format of the body of a rejection. Default: [`RejectionBody::Negotiated`].
    pub fn rejection_body(mut self, body: RejectionBody) -> Self {
        self.http.body = body;
        self
    }

    /// Replaces the response to denied requests. RateGuard adds the headers of the decision, `Retry-After` and
    /// `Cache-Control: no-store` to your response. Default: 429 with the body of
    /// [`rejection_body`](Self::rejection_body).
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

    /// Whether this guard is in the application's data, where macro attributes find their guard. If `false`, the guard
    /// does not need the policies that macro attributes name. Default: `true`.
    pub fn for_attributes(mut self, is_for_attributes: bool) -> Self {
        self.http.is_for_attributes = is_for_attributes;
        self
    }
}
