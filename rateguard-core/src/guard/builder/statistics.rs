//! The builder setting for statistics.

use super::RateGuardBuilder;
use crate::Statistics;

impl<S> RateGuardBuilder<S> {
    /// Sets that the guard has statistics, which [`RateGuard::statistics`](crate::RateGuard::statistics) returns. Default:
    /// no statistics.
    ///
    /// A guard on Redis or Upstash shares its statistics with all guards that have the same server and prefix, and also have
    /// statistics. For this, it writes to the store once a second, in the background. If the store does not answer, the
    /// checks of the last hour are counted later.
    pub fn statistics(mut self, statistics: Statistics) -> Self {
        self.settings.statistics = Some(statistics);
        self
    }
}
