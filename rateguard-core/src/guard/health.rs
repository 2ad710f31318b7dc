//! The health of the store.

use std::time::Duration;

use super::{RateGuard, Shared, server_state::ServerState};
use crate::StoreError;

/// The health of a guard's store. [`RateGuard::health`] returns this value, for example for a readiness probe.
///
/// ```
/// # use actix_rateguard_core::RateGuard;
/// /// Whether this process is ready; if not, the reason.
/// fn readiness(guard: &RateGuard) -> Result<(), String> {
///     match guard.health().cause() {
///         None => Ok(()),
///         Some(cause) => Err(format!("rate limit store: {cause}")),
///     }
/// }
///
/// assert_eq!(readiness(&RateGuard::in_memory()), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    cause: Option<StoreError>,
    down_for: Option<Duration>,
}

impl Health {
    /// Returns whether the store is healthy. A store is healthy if the guard is not closed, no circuit breaker rejects
    /// checks, and no connection to the store has a problem.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.cause.is_none()
    }

    /// Returns the cause of the problem, or `None` if the store is healthy.
    #[must_use]
    pub fn cause(&self) -> Option<StoreError> {
        self.cause
    }

    /// Returns how long checks have been failing: the time since the first failed check after the last successful
    /// check. The result is `None` if the store is healthy, if the guard is closed, or if the last check succeeded.
    #[must_use]
    pub fn down_for(&self) -> Option<Duration> {
        self.down_for
    }
}

impl RateGuard {
    /// Returns the health of the store without a store call. The health depends on the state of the connections and
    /// on the results of the last checks.
    ///
    /// A store with several servers, such as Redis Cluster, is only healthy if all servers are healthy. A guard that
    /// was [closed](Self::close) reports [`StoreError::Closed`].
    #[must_use]
    pub fn health(&self) -> Health {
        let Shared { store, servers, .. } = &*self.shared;
        let closed = self.is_closed().then_some((StoreError::Closed, None));
        let open_breaker = || {
            servers
                .used()
                .find_map(|server| Some((server.breaker.open_cause()?, server.down_for())))
        };
        // A failure in the past does not prove a problem now, because the guard needs a new check to notice that a
        // server has recovered. So the time since the first failure is only reported if a connection has a problem,
        // too.
        let down_for = || servers.used().filter_map(ServerState::down_for).max();
        let disconnected = || store.health().err().map(|cause| (cause, down_for()));
        let problem = closed.or_else(open_breaker).or_else(disconnected);
        let cause = problem.map(|(cause, _)| cause);
        let down_for = problem.and_then(|(_, down_for)| down_for);
        Health { cause, down_for }
    }
}
