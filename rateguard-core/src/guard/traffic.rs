//! There are two kinds of store calls: enforced calls and shadow calls. Each kind has its own circuit breakers and
//! its own concurrency limit.

use super::{concurrency_limit::InFlight, rate_guard::Shared, server_state::ServerStates};

/// The kind of a store call. It selects the circuit breakers and the concurrency limit for the call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Traffic {
    /// The result of the call can admit or reject a request.
    Enforced,
    /// The result of the call is only counted and reported.
    ///
    /// A shadow call needs no permit of the enforced calls, and a failed shadow call does not open a circuit breaker
    /// of the enforced calls. But if a circuit breaker of the enforced calls is open, the guard sends no shadow calls
    /// to this server either, because the server does not reply.
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
