//! Futures whose output and duration are reported to metrics or traces.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, future::Inspect};

/// Calls `report` with the output of the future. If the future is dropped, nothing is reported.
pub(crate) fn observe<F, R>(future: F, report: R) -> Inspect<F, R>
where
    F: Future,
    R: FnOnce(&F::Output),
{
    future.inspect(report)
}

/// Calls `report` with the duration of the future. If the future is dropped, nothing is reported.
pub(crate) async fn timed<F: Future>(future: F, report: impl FnOnce(Duration)) -> F::Output {
    let start = Instant::now();
    let output = future.await;
    report(start.elapsed());
    output
}
