//! The settings of a guard that only HTTP needs. The core crate has all other settings.

use std::{sync::Arc, time::Duration};

use actix_rateguard_core::adapter::{self, KeySecret};
use actix_rateguard_headers::HeaderDialect;

use crate::{
    AccessList, BuildError, ClientAddress, RejectionBody, client_networks::ClientNetworks,
    key_probe::KeyProbes, on_reject::OnReject, proxy_warning::ProxyWarning,
    replaced_limits::ReplacedRoutes,
};

/// The settings of a guard that only HTTP needs. The core crate has all other settings.
pub(crate) struct HttpSettings {
    pub(crate) client_address: ClientAddress,
    pub(crate) access: AccessList,
    pub(crate) headers: Vec<HeaderDialect>,
    pub(crate) retry_jitter: Duration,
    /// The maximum length in bytes of a body from which a limit reads a key.
    pub(crate) max_key_body: usize,
    pub(crate) body: RejectionBody,
    pub(crate) on_reject: Option<OnReject>,
    pub(crate) proxy_warning: ProxyWarning,
    pub(crate) key_probes: KeyProbes,
    /// Records which routes replace limits of middlewares.
    pub(crate) replaced_routes: ReplacedRoutes,
    /// Records which IPv6 clients have keys that they do not share with other clients.
    pub(crate) client_networks: Arc<ClientNetworks>,
    /// Whether macro attributes without a `limiter` argument use this guard.
    pub(crate) is_for_attributes: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            client_address: ClientAddress::peer(),
            access: AccessList::new(),
            headers: vec![HeaderDialect::XRateLimit],
            retry_jitter: Duration::ZERO,
            max_key_body: 8_192,
            body: RejectionBody::default(),
            on_reject: None,
            proxy_warning: ProxyWarning::default(),
            key_probes: KeyProbes::default(),
            replaced_routes: ReplacedRoutes::default(),
            client_networks: Arc::new(ClientNetworks::new(None)),
            is_for_attributes: true,
        }
    }
}

impl HttpSettings {
    /// Sets the guard's secret. The secret determines which shared key an IPv6 client gets.
    pub(crate) fn with_secret(self, secret: Option<&KeySecret>) -> Self {
        Self { client_networks: Arc::new(ClientNetworks::new(secret)), ..self }
    }

    /// Returns an error if two header dialects write the same fields, if the retry jitter is too long or is not a whole
    /// number of seconds, or if the length of a body with a key is out of range.
    pub(crate) fn validate(&self) -> Result<(), BuildError> {
        if let Some(dialects) = HeaderDialect::find_conflict(&self.headers) {
            return Err(BuildError::Headers { dialects });
        }
        if self.retry_jitter > adapter::MAX_RETRY_JITTER || self.retry_jitter.subsec_nanos() > 0 {
            return Err(BuildError::RetryJitter);
        }
        if !adapter::MAX_KEY_BODY.contains(&u64::try_from(self.max_key_body).unwrap_or(u64::MAX)) {
            return Err(BuildError::MaxKeyBody);
        }
        Ok(())
    }

    /// Replaces each setting of the guard for which the policies file has a value.
    pub(crate) fn apply(&mut self, file: &adapter::HttpSettings) {
        let adapter::HttpSettings {
            client_address,
            headers,
            retry_jitter,
            rejection_body,
            max_key_body,
        } = file;
        if let Some(client_address) = client_address {
            self.client_address = client_address.clone();
        }
        if let Some(headers) = headers {
            self.headers.clone_from(headers);
        }
        self.retry_jitter = retry_jitter.unwrap_or(self.retry_jitter);
        self.body = rejection_body.unwrap_or(self.body);
        self.max_key_body = max_key_body.unwrap_or(self.max_key_body);
    }
}
