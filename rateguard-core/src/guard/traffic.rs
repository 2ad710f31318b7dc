//! There are two kinds of store calls: the result of an enforced call affects requests, and the result of a shadow call
//! is only counted. The two kinds have separate circuit breakers and limits of operations in flight.

use super::{in_flight::InFlight, rate_guard::Shared, server_state::ServerStates};

/// The kind of a store call. The kind selects the circuit breakers and the limit of operations in flight for the call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Traffic {
    /// The result of the call affects requests: it admits or rejects them, or changes their counts.
    Enforced,
    /// The result of the call is only counted and reported.
    ///
    /// A shadow call does not count towards the operations in flight of the enforced calls, and a failed shadow call does
    /// not open a circuit breaker of the enforced calls. But if the circuit breaker for enforced calls to a server
    /// is open, the guard sends no shadow calls to this server either, because the server does not reply.
    Shadow,
}

impl Traffic {
    /// Returns the circuit breakers for this kind of calls: one for each server.
    pub(super) fn servers(self, shared: &Shared) -> &ServerStates {
        match self {
            Self::Enforced => &shared.servers,
            Self::Shadow => &shared.shadow.servers,
        }
    }

    /// Returns the operations in flight of this kind of calls.
    pub(super) fn in_flight(self, shared: &Shared) -> &InFlight {
        match self {
            Self::Enforced => &shared.in_flight,
            Self::Shadow => &shared.shadow.in_flight,
        }
    }
}
