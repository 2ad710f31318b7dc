//! Collects the errors that checks report about the connection to a Redis server.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::store::StoreError;

/// Collects reports about the connection to a Redis server. Checks add the reports, and the connection manager reads
/// them.
#[derive(Default)]
pub(super) struct HealthReports {
    /// The number of the newest connection that was reported as broken, and the cause.
    broken: Mutex<Option<(u64, StoreError)>>,
    /// The reason why the server cannot run the script, and the number of the connection on which it failed.
    script_failure: Mutex<Option<(u64, StoreError)>>,
    /// Notified when the connection manager should test the connection.
    pub(super) wake: Notify,
}

impl HealthReports {
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

/// Observes a request in flight. If this value is dropped before `complete` is called, the connection manager tests
/// the connection.
pub(super) struct InFlightGuard<'a> {
    reports: &'a HealthReports,
    is_complete: bool,
}

impl<'a> InFlightGuard<'a> {
    pub(super) fn new(reports: &'a HealthReports) -> Self {
        Self { reports, is_complete: false }
    }

    pub(super) fn complete(mut self) {
        self.is_complete = true;
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        if !self.is_complete {
            self.reports.wake.notify_one();
        }
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
