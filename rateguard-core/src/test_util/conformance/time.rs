//! Defines how the conformance suite controls the time of the tested store.

use std::time::Duration;

use crate::{Clock, test_util::ManualClock};

/// The time that the tested store uses.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Time {
    /// The store uses this manual clock. With a manual clock, the suite also verifies that no units become available a
    /// microsecond before `retry_after` ends.
    Manual(ManualClock),
    /// The store uses the system's time. The suite then waits with Tokio's timer, about 10 seconds for each algorithm.
    Real,
}

impl Time {
    pub(super) async fn advance(&self, time: Duration) {
        match self {
            Self::Manual(clock) => clock.advance(time),
            Self::Real => tokio::time::sleep(time).await,
        }
    }

    /// Returns the time of a manual clock.
    pub(super) fn now(&self) -> Option<Duration> {
        match self {
            Self::Manual(clock) => Some(clock.now()),
            Self::Real => None,
        }
    }

    pub(super) fn is_manual(&self) -> bool {
        matches!(self, Self::Manual(_))
    }
}
