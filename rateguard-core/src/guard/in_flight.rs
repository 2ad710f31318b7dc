//! Bounds how many operations of this process wait for the store at the same time.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::StoreError;

/// Counts the operations that wait for the store, up to a maximum.
pub(super) struct InFlight {
    max: usize,
    current: AtomicUsize,
}

impl InFlight {
    pub(super) fn new(max: usize) -> Self {
        Self { max, current: AtomicUsize::new(0) }
    }

    /// The number of operations that wait for the store.
    pub(super) fn count(&self) -> usize {
        self.current.load(SeqCst)
    }

    /// Whether no operation waits for the store.
    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Counts an operation until the returned value is dropped, even if the maximum number of operations waits already.
    pub(super) fn enter(&self) -> InFlightCount<'_> {
        self.current.fetch_add(1, SeqCst);
        InFlightCount(self)
    }

    /// Counts an operation until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// [`StoreError::Overloaded`] if the maximum number of operations waits already.
    pub(super) fn try_enter(&self) -> Result<InFlightCount<'_>, StoreError> {
        // The counter is incremented before it is compared with the maximum, so two operations never enter as
        // the last one. If the maximum was already reached, the count is dropped, and the drop decrements the counter
        // again.
        let count = InFlightCount(self);
        if self.current.fetch_add(1, SeqCst) >= self.max {
            Err(StoreError::Overloaded)
        } else {
            Ok(count)
        }
    }
}

/// An operation that waits for the store.
pub(super) struct InFlightCount<'a>(&'a InFlight);

impl Drop for InFlightCount<'_> {
    fn drop(&mut self) {
        self.0.current.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_limited_and_counted_until_they_end() {
        let in_flight = InFlight::new(2);
        for _ in 0..3 {
            let counts = [in_flight.try_enter(), in_flight.try_enter()];
            assert!(counts.iter().all(Result::is_ok));
            for _ in 0..10 {
                assert_eq!(in_flight.try_enter().err(), Some(StoreError::Overloaded));
                drop(in_flight.enter());
            }
        }
        assert!(in_flight.is_empty());
    }
}
