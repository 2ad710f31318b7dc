//! actix-governor with its headers.

use std::time::Duration;

use actix_governor::{
    GovernorConfig, GovernorConfigBuilder, KeyExtractor, SimpleKeyExtractionError,
    governor::middleware::StateInformationMiddleware,
};
use actix_web::dev::ServiceRequest;
use rateguard_benches::contenders::Asked;

use super::key_of;

/// By the same header as all others.
#[derive(Clone)]
pub(crate) struct ByKey;

impl KeyExtractor for ByKey {
    type Key = String;
    type KeyExtractionError = SimpleKeyExtractionError<&'static str>;

    fn extract(&self, request: &ServiceRequest) -> Result<String, Self::KeyExtractionError> {
        key_of(request).ok_or_else(|| SimpleKeyExtractionError::new("no key"))
    }
}

/// A million a second, or one an hour.
pub(crate) fn config(asked: Asked) -> Option<GovernorConfig<ByKey, StateInformationMiddleware>> {
    let (period, burst) = match asked {
        Asked::Denied => (Duration::from_secs(3600), 1),
        Asked::OneKey | Asked::ManyKeys => (Duration::from_micros(1), 1_000_000),
    };
    GovernorConfigBuilder::default()
        .period(period)
        .burst_size(burst)
        .key_extractor(ByKey)
        .use_headers()
        .finish()
}
