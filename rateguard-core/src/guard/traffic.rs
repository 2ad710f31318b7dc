//! The two kinds of store calls, which share neither circuit breakers nor permits.

use super::{concurrency_limit::InFlight, rate_guard::Shared, server_state::ServerStates};

/// The purpose of a store call. It selects the circuit breakers and the concurrency limit of the call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Traffic {
    /// The result of the call can admit or reject a request.
    Enforced,
    /// The result of the call is only counted and reported.
    ///
    /// Shadow checks take no permits of enforced checks, and a failed shadow check does not open a breaker of enforced
    /// checks. But an open breaker of enforced checks also stops shadow checks, because the server does not answer.
    Shadow,
}

impl Traffic {
    pub(super) fn servers(self, shared: &Shared) -> &ServerStates {
        match self {
            Self::Enforced => &shared.servers,
            Self::Shadow => &shared.shadow.servers,
        }
    }

    pub(super) fn in_flight(self, shared: &Shared) -> &InFlight {
        match self {
            Self::Enforced => &shared.in_flight,
            Self::Shadow => &shared.shadow.in_flight,
        }
    }
}
