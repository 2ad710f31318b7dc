//! The listeners of RateGuard's telemetry.

use rateguard_benches::{
    BenchResult,
    telemetry::{SpanFilter, install_recorder, install_subscriber},
};

/// Installs the listener of this limiter.
pub(crate) fn install(limiter: &str) -> BenchResult {
    if limiter.ends_with("metrics") {
        install_recorder()
    } else {
        install_subscriber(SpanFilter::RejectAll)
    }
}
