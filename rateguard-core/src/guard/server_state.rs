//! The guard has a separate state (circuit breaker and time of the first failure) for each server of the store. So
//! the failure of one server does not stop the checks on the other servers.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::breaker::{Breaker, is_request_specific};
use crate::StoreError;

/// The maximum number of server states. If the store has more servers, some servers share a state.
const MAX_SERVERS: usize = 64;

/// The states of all servers. The state of a server is created when the server is first used.
pub(super) struct ServerStates([OnceLock<Box<ServerState>>; MAX_SERVERS]);

impl ServerStates {
    pub(super) fn new() -> Self {
        Self([const { OnceLock::new() }; MAX_SERVERS])
    }

    /// Returns the state of the server with this [number](crate::store::Store::server).
    pub(super) fn of(&self, number: usize) -> &ServerState {
        self.0[number % MAX_SERVERS].get_or_init(|| Box::new(ServerState::new()))
    }

    /// Returns the states of all servers that the guard has used.
    pub(super) fn used(&self) -> impl Iterator<Item = &ServerState> {
        self.0.iter().filter_map(OnceLock::get).map(Box::as_ref)
    }
}

/// The state of one server of the store.
pub(super) struct ServerState {
    pub(super) breaker: Breaker,
    /// The time when the guard first used the server.
    start: Instant,
    /// The time of the first failed store call after the last successful store call, in milliseconds after `start`.
    /// A failure in the first millisecond gets the value 1, because 0 means that no store call has failed since the
    /// last success. Failures whose cause is not the store are ignored.
    down_since_ms: AtomicU64,
}

impl ServerState {
    fn new() -> Self {
        Self {
            breaker: Breaker::default(),
            start: Instant::now(),
            down_since_ms: AtomicU64::new(0),
        }
    }

    /// Records the result of a store call.
    pub(super) fn record_reply<T>(&self, reply: &Result<T, StoreError>) {
        let since = self.down_since_ms.load(Relaxed);
        match reply {
            Ok(_) if since != 0 => self.down_since_ms.store(0, Relaxed),
            Err(cause) if since == 0 && !is_request_specific(*cause) => {
                let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.down_since_ms.store(now.max(1), Relaxed);
            }
            _ => {}
        }
    }

    /// Returns the time since the first failed store call after the last successful store call. `None` if no store
    /// call has failed since the last success.
    pub(super) fn down_for(&self) -> Option<Duration> {
        let since = Some(self.down_since_ms.load(Relaxed)).filter(|since| *since != 0)?;
        Some(self.start.elapsed().saturating_sub(Duration::from_millis(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_separate_states_and_success_resets_them() {
        let servers = ServerStates::new();
        servers.of(1).record_reply(&Err::<(), _>(StoreError::Timeout));
        servers.of(2).record_reply(&Ok(()));
        servers.of(3).record_reply(&Err::<(), _>(StoreError::CrossSlot));
        assert!(servers.of(1).down_for().is_some());
        assert!(servers.of(2).down_for().is_none());
        assert!(servers.of(3).down_for().is_none());
        assert_eq!(servers.used().count(), 3);
        // A store that never sends a valid reply is down. If only the value of one key is invalid, the next check of
        // another key succeeds and resets the state.
        servers.of(3).record_reply(&Err::<(), _>(StoreError::InvalidReply));
        assert!(servers.of(3).down_for().is_some());
        servers.of(1).record_reply(&Ok(()));
        assert!(servers.of(1).down_for().is_none());
    }
}
