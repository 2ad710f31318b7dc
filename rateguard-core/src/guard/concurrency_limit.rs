//! How many checks may wait for the store at once.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::StoreError;

pub(super) struct InFlight {
    max: usize,
    now: AtomicUsize,
}

impl InFlight {
    pub(super) fn new(max: usize) -> Self {
        Self { max, now: AtomicUsize::new(0) }
    }

    /// How many wait.
    #[cfg(feature = "metrics")]
    pub(super) fn count(&self) -> usize {
        self.now.load(SeqCst)
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.now.load(SeqCst) == 0
    }

    /// A place, until it is dropped.
    pub(super) fn enter(&self) -> Result<Permit<'_>, StoreError> {
        // Hold before it is looked at, so that no two take the last.
        let place = Permit(self);
        if self.now.fetch_add(1, SeqCst) >= self.max {
            Err(StoreError::Overloaded)
        } else {
            Ok(place)
        }
    }
}

pub(super) struct Permit<'a>(&'a InFlight);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let in_flight = InFlight::new(2);
        for _ in 0..3 {
            let places = [in_flight.enter(), in_flight.enter()];
            assert!(places.iter().all(Result::is_ok));
            for _ in 0..10 {
                assert_eq!(in_flight.enter().err(), Some(StoreError::Overloaded));
            }
        }
        assert!(in_flight.is_empty());
    }
}
