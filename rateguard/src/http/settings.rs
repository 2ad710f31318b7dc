//! The settings of a guard that only limits on HTTP requests read.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse};
use rateguard_headers::{HeaderDialect, RETRY_AFTER};

use super::{
    client::{ClientNetworks, ProxyWarning},
    inventory::Middlewares,
    terms::OnDenied,
};
use crate::{
    AccessList, BuildError, ClientAddress, Decision, RateGuard, RateGuardBuilder, bucket::KeySecret,
};

/// Read by `http` alone; the guard keeps it.
pub(crate) struct HttpSettings {
    pub(super) client_address: ClientAddress,
    pub(super) access: AccessList,
    pub(super) headers: Vec<HeaderDialect>,
    pub(super) retry_jitter: Duration,
    pub(super) body: RefusalBody,
    pub(super) on_denied: Option<OnDenied>,
    pub(super) proxy_warning: ProxyWarning,
    /// Which IPv6 clients have keys of their own.
    pub(super) client_networks: Arc<ClientNetworks>,
    /// What has been started, for the inventory.
    pub(super) middlewares: Middlewares,
    /// Whether attributes without a guard of their own find this one.
    pub(crate) is_for_attributes: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            client_address: ClientAddress::peer(),
            access: AccessList::new(),
            headers: vec![HeaderDialect::XRateLimit],
            retry_jitter: Duration::ZERO,
            body: RefusalBody::default(),
            on_denied: None,
            proxy_warning: ProxyWarning::new(),
            client_networks: Arc::new(ClientNetworks::new(None)),
            middlewares: Middlewares::default(),
            is_for_attributes: true,
        }
    }
}

impl HttpSettings {
    #[cfg(feature = "operator")]
    pub(crate) fn ipv6_bits(&self) -> u8 {
        self.client_address.ipv6_bits()
    }

    /// The same, of a guard with this secret, if it has one.
    pub(crate) fn with_secret(self, secret: Option<&KeySecret>) -> Self {
        Self { client_networks: Arc::new(ClientNetworks::new(secret)), ..self }
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let has = |dialect| self.headers.contains(&dialect);
        if has(HeaderDialect::XRateLimit) && has(HeaderDialect::XRateLimitEpoch) {
            return Err(BuildError::Headers);
        }
        Ok(())
    }

    /// What a file says goes before.
    #[cfg(feature = "config")]
    pub(crate) fn follow(&mut self, file: crate::config::AtStart) {
        let crate::config::AtStart { client_address, headers, retry_jitter, refusal_body, .. } =
            file;
        if let Some(client_address) = client_address {
            self.client_address = client_address;
        }
        if let Some(headers) = headers {
            self.headers = headers;
        }
        self.retry_jitter = retry_jitter.unwrap_or(self.retry_jitter);
        self.body = refusal_body.unwrap_or(self.body);
    }
}

/// What is in the body of a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalBody {
    /// Problem details (RFC 9457) for clients whose `Accept` names `application/problem+json` or `application/json` and
    /// does not like text more; for all others a line of text. An `Accept` of more than 8 header fields or 1,024 bytes is
    /// treated as none. The default.
    #[default]
    Negotiated,
    /// Problem details for everybody.
    ProblemDetails,
    /// A line of text for everybody.
    Text,
}

/// Settings for limits on HTTP requests.
impl RateGuardBuilder {
    /// How the address of a client is found, for keys by address: behind proxies, [`ClientAddress::behind`] them.
    /// Default: [`ClientAddress::peer`].
    pub fn client_address(mut self, client_address: ClientAddress) -> Self {
        self.http.client_address = client_address;
        self
    }

    /// Who is never limited by this guard's limits, and who is always refused. Default: nobody.
    pub fn access(mut self, list: AccessList) -> Self {
        self.http.access = list;
        self
    }

    /// In which header fields clients are told the numbers: any of [`HeaderDialect`], or none of them. `Retry-After` is
    /// always there on a denial. Default: [`HeaderDialect::XRateLimit`], which most clients know.
    ///
    /// ```
    /// # use rateguard::{RateGuard, headers::HeaderDialect};
    /// let both = RateGuard::builder().headers([HeaderDialect::XRateLimit, HeaderDialect::Draft]);
    /// let none = RateGuard::builder().headers([]);
    /// ```
    pub fn headers(mut self, dialects: impl IntoIterator<Item = HeaderDialect>) -> Self {
        self.http.headers = dialects.into_iter().collect();
        self
    }

    /// How much is added to `Retry-After` at the most, at random and in whole seconds, so that clients that were denied
    /// together do not come back together. Default: nothing.
    pub fn retry_jitter(mut self, most: Duration) -> Self {
        self.http.retry_jitter = most;
        self
    }

    /// What is in the body of a refusal. Default: [`RefusalBody::Negotiated`].
    pub fn refusal_body(mut self, body: RefusalBody) -> Self {
        self.http.body = body;
        self
    }

    /// Answers denied requests in your own way. The numbers, `Retry-After` and `Cache-Control: no-store` are written over
    /// what it returns. Default: 429 with a body as [`refusal_body`](Self::refusal_body) says.
    ///
    /// ```
    /// # use actix_web::{HttpRequest, HttpResponse};
    /// # use rateguard::{Decision, RateGuard};
    /// let guard = RateGuard::builder().on_denied(|_: &HttpRequest, decision: &Decision| {
    ///     HttpResponse::TooManyRequests().body(format!("More than {} are too many.", decision.limit()))
    /// });
    /// ```
    pub fn on_denied(
        mut self,
        answer: impl Fn(&HttpRequest, &Decision) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.http.on_denied = Some(Arc::new(answer));
        self
    }
}

impl RateGuard {
    /// The names of the header fields that its limits write, for `Access-Control-Expose-Headers`: without that, scripts in
    /// browsers do not see them.
    ///
    /// ```
    /// # use rateguard::RateGuard;
    /// let guard = RateGuard::in_memory();
    /// assert!(guard.header_names().any(|name| name == "retry-after"));
    /// // actix_cors::Cors::default().expose_headers(guard.header_names())
    /// ```
    pub fn header_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let names: Vec<_> =
            self.http().headers.iter().flat_map(|dialect| dialect.field_names()).copied().collect();
        names.into_iter().chain([RETRY_AFTER])
    }
}
