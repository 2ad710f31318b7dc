//! Collects the errors that checks report about the connection to a Redis server.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::sync::Notify;

use super::error::{concerns_script, needs_reconnect};
use crate::store::StoreError;

/// Collects reports about the connection to a Redis server. Checks add the reports, and the connection manager reads
/// them.
#[derive(Default)]
pub(super) struct HealthReports {
    /// The number of the newest connection that was reported as broken, and the cause.
    broken: Mutex<Option<(u64, StoreError)>>,
    /// The reason why the server cannot run the script, and the number of the connection on which it failed.
    script_failure: Mutex<Option<(u64, StoreError)>>,
    /// Whether the server was silent when a request expired last.
    is_silent: AtomicBool,
    /// Notified when the connection manager should test the connection.
    pub(super) wake: Notify,
}

impl HealthReports {
    /// Records that a check failed with this error on the connection with this number.
    pub(super) fn record_error(&self, generation: u64, cause: StoreError) {
        if needs_reconnect(cause) {
            self.mark_broken(generation, cause);
        } else if concerns_script(cause) {
            self.record_script(generation, Some(cause));
        }
    }

    /// Records that requests have expired. `is_silent` means that the server does not reply, so the connection manager
    /// tests the connection. Otherwise this process has too many requests.
    pub(super) fn record_late_reply(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Relaxed);
        if is_silent {
            self.wake.notify_one();
        }
    }

    /// Returns true if the requests that expired last have expired because the server did not reply.
    pub(super) fn is_silent(&self) -> bool {
        self.is_silent.load(Relaxed)
    }

    /// Reports that the connection with this number is broken.
    pub(super) fn mark_broken(&self, generation: u64, cause: StoreError) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        if broken.is_none_or(|(newest, _)| newest < generation) {
            *broken = Some((generation, cause));
            self.wake.notify_one();
        }
    }

    /// Records whether the server runs the script on the connection with this number. A check or a test of the script
    /// has shown it.
    pub(super) fn record_script(&self, generation: u64, failure: Option<StoreError>) {
        let mut recorded = self.script_failure.lock().unwrap_or_else(PoisonError::into_inner);
        *recorded = failure.map(|cause| (generation, cause));
    }

    /// Returns the reason why the server cannot run the script on the connection with this number.
    pub(super) fn script_failure(&self, generation: u64) -> Option<StoreError> {
        // Code under this lock only assigns one value, so the value is consistent even if the lock is poisoned.
        let recorded = self.script_failure.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.filter(|(number, _)| *number == generation).map(|(_, cause)| cause)
    }

    /// Returns the cause if the connection with this number, or a newer connection, was reported as broken.
    pub(super) fn broken_cause(&self, generation: u64) -> Option<StoreError> {
        // Code under this lock only assigns one value, so the value is consistent even if the lock is poisoned.
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.filter(|(newest, _)| *newest >= generation).map(|(_, cause)| cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_on_an_old_connection_do_not_affect_a_newer_one() {
        let reports = HealthReports::default();
        reports.mark_broken(2, StoreError::Disconnected(None));
        reports.mark_broken(1, StoreError::NotReady(None));
        assert_eq!(reports.broken_cause(1), Some(StoreError::Disconnected(None)));
        assert_eq!(reports.broken_cause(2), Some(StoreError::Disconnected(None)));
        assert_eq!(reports.broken_cause(3), None);
    }
}
