//! Counts the requests that a limiter certainly admitted within one window.

use std::time::{Duration, Instant};

use crate::load::Exchange;

/// The largest number of admitted requests that were certainly decided within one interval of the length of a window.
///
/// A limiter decides after the request is sent and before the response arrives. So a request counts only if both times
/// are in the interval. The true number may be higher.
#[must_use]
pub fn max_in_window(exchanges: &[Exchange], window: Duration) -> usize {
    let admitted: Vec<_> = exchanges.iter().filter(|it| it.status == 200).collect();
    let count = |start: Instant| {
        let is_inside = |it: &&&Exchange| it.sent >= start && it.received < start + window;
        admitted.iter().filter(is_inside).count()
    };
    admitted.iter().map(|it| count(it.sent)).max().unwrap_or(0)
}
