//! The concurrency limit bounds how many checks wait for the store at the same time.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::StoreError;

/// Counts the checks that wait for the store, up to a maximum.
pub(super) struct InFlight {
    max: usize,
    current: AtomicUsize,
}

impl InFlight {
    pub(super) fn new(max: usize) -> Self {
        Self { max, current: AtomicUsize::new(0) }
    }

    /// The number of permits in use.
    pub(super) fn count(&self) -> usize {
        self.current.load(SeqCst)
    }

    /// Whether no permit is in use.
    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Returns a permit. The permit is in use until it is dropped.
    ///
    /// # Errors
    ///
    /// [`StoreError::Overloaded`] if all permits are in use.
    pub(super) fn try_acquire(&self) -> Result<Permit<'_>, StoreError> {
        // The counter is incremented before it is compared with the maximum, so two checks never get the last permit
        // together. If the maximum was already reached, the permit is dropped, and the drop decrements the counter
        // again.
        let permit = Permit(self);
        if self.current.fetch_add(1, SeqCst) >= self.max {
            Err(StoreError::Overloaded)
        } else {
            Ok(permit)
        }
    }
}

/// A permit allows one check to wait for the store.
pub(super) struct Permit<'a>(&'a InFlight);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.current.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_limited_and_returned_on_drop() {
        let in_flight = InFlight::new(2);
        for _ in 0..3 {
            let permits = [in_flight.try_acquire(), in_flight.try_acquire()];
            assert!(permits.iter().all(Result::is_ok));
            for _ in 0..10 {
                assert_eq!(in_flight.try_acquire().err(), Some(StoreError::Overloaded));
            }
        }
        assert!(in_flight.is_empty());
    }
}
