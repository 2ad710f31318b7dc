//! Replaces the TLS code if the cargo feature `tls` is disabled. There are then no TLS settings, and Redis URLs must
//! not use TLS.

use super::url::Target;
use crate::RedisUrlError;

/// Replaces the TLS settings, which exist only with the feature `tls`.
pub(crate) struct TlsSettings;

impl TlsSettings {
    pub(crate) fn new() -> Self {
        Self
    }
}

/// Returns the servers unchanged. No server uses TLS here, because [`parse`](super::url::parse) rejects URLs with
/// TLS.
pub(super) fn apply(_: &TlsSettings, target: Target) -> Result<Target, RedisUrlError> {
    Ok(target)
}
