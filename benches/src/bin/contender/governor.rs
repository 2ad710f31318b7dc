//! actix-governor with its headers.

use std::time::Duration;

use actix_governor::{
    GovernorConfig, GovernorConfigBuilder, KeyExtractor, SimpleKeyExtractionError,
    governor::middleware::StateInformationMiddleware,
};
use actix_web::dev::ServiceRequest;
use rateguard_benches::{ACCURACY, HOT_KEY, contenders::Scenario};

use super::key_of;

/// Uses the same header as key as all other limiters.
#[derive(Clone)]
pub(crate) struct ByKey;

impl KeyExtractor for ByKey {
    type Key = String;
    type KeyExtractionError = SimpleKeyExtractionError<&'static str>;

    fn extract(&self, request: &ServiceRequest) -> Result<String, Self::KeyExtractionError> {
        key_of(request).ok_or_else(|| SimpleKeyExtractionError::new("no key"))
    }
}

/// A limit of a million per second, or of one per hour, or the limit of the measurements of accuracy or of leases as a burst.
pub(crate) fn config(
    scenario: Scenario,
) -> Option<GovernorConfig<ByKey, StateInformationMiddleware>> {
    let (period, burst) = match scenario {
        Scenario::Denied => (Duration::from_secs(3600), 1),
        Scenario::Accuracy => (ACCURACY.1 / ACCURACY.0, ACCURACY.0),
        Scenario::HotKey => (HOT_KEY.1 / HOT_KEY.0, HOT_KEY.0),
        Scenario::OneKey | Scenario::ManyKeys => (Duration::from_micros(1), 1_000_000),
    };
    GovernorConfigBuilder::default()
        .period(period)
        .burst_size(burst)
        .key_extractor(ByKey)
        .use_headers()
        .finish()
}
