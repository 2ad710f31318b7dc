//! The time that a store under test uses.

use std::time::Duration;

use crate::test_util::ManualClock;

/// The time that a store under test uses.
#[derive(Clone, Debug)]
pub enum Time {
    /// The time of this clock. The suite then checks the microsecond before and the microsecond after each change.
    Manual(ManualClock),
    /// The system's time. The suite then waits with Tokio's timer, about 10 seconds for each algorithm.
    Real,
}

impl Time {
    pub(super) async fn advance(&self, time: Duration) {
        match self {
            Self::Manual(clock) => clock.advance(time),
            Self::Real => tokio::time::sleep(time).await,
        }
    }

    pub(super) fn is_manual(&self) -> bool {
        matches!(self, Self::Manual(_))
    }
}
