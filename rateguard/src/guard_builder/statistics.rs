//! The builder setting for statistics.

use super::core_settings::core_settings;
use crate::Statistics;

core_settings! {
    /// The setting for statistics.
    impl[S] for S;

    /// Sets that the guard has statistics, which the endpoint `statistics` of [`operator`](crate::operator) returns.
    /// Default: no statistics.
    ///
    /// A guard on Redis or Upstash shares its statistics with all guards that have the same server and prefix, and also
    /// have statistics. For this, it writes to the store once a second, in the background. If the store does not answer,
    /// the checks of the last hour are counted later.
    ///
    /// ```
    /// # use actix_rateguard::{RateGuard, Statistics};
    /// let statistics = Statistics::new().process_name("web-1");
    /// let guard = RateGuard::builder().statistics(statistics).build()?;
    /// # Ok::<(), actix_rateguard::BuildError>(())
    /// ```
    statistics(statistics: Statistics);
}
