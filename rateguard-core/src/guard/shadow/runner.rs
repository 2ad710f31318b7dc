//! Shadow checks (checks in shadow mode) share no permits and no circuit breakers with the enforced checks of the
//! guard, and are counted separately.

use super::report::Report;
use crate::guard::{in_flight::InFlight, server_state::ServerStates};

/// The state that a guard needs for its shadow checks.
pub(in crate::guard) struct ShadowRunner {
    pub(super) report: Report,
    pub(in crate::guard) servers: ServerStates,
    pub(in crate::guard) in_flight: InFlight,
}

impl ShadowRunner {
    pub(in crate::guard) fn new(max_in_flight: usize) -> Self {
        Self {
            report: Report::default(),
            servers: ServerStates::new(),
            in_flight: InFlight::new(max_in_flight),
        }
    }
}
