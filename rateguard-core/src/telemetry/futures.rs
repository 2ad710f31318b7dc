//! Wraps futures, so that their output or duration is reported to metrics, traces or statistics.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, future::Inspect};

/// Returns a future that runs `future` and then calls `report` with the output of `future`. If the returned future
/// is dropped, nothing is reported.
pub(crate) fn observe<F, R>(future: F, report: R) -> Inspect<F, R>
where
    F: Future,
    R: FnOnce(&F::Output),
{
    future.inspect(report)
}

/// Whether metrics or traces need the duration of each store call.
pub(crate) const ARE_TIMES_REPORTED: bool = cfg!(any(feature = "metrics", feature = "tracing"));

/// Awaits a future and calls `report` with its duration, if `is_needed` is true. Otherwise reads no clock. If the future is
/// dropped, nothing is reported.
pub(crate) async fn timed<F: Future>(
    is_needed: bool,
    future: F,
    report: impl FnOnce(Duration),
) -> F::Output {
    let start = is_needed.then(Instant::now);
    let output = future.await;
    if let Some(start) = start {
        report(start.elapsed());
    }
    output
}
