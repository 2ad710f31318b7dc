//! Connections to Redis without the feature `tls`: there are no settings, and no URL may ask for TLS.

use super::url::Target;
use crate::RedisUrlError;

/// Stands in for the settings of TLS.
pub(crate) struct TlsSettings;

impl TlsSettings {
    pub(crate) fn new() -> Self {
        Self
    }
}

/// Rejects no server, because [`parse`](super::url::parse) rejects URLs with TLS.
pub(super) fn apply(_: &TlsSettings, target: Target) -> Result<Target, RedisUrlError> {
    Ok(target)
}
