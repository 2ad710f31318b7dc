//! Wraps futures, so that their output or duration is reported to metrics or traces.

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

/// Awaits a future and calls `report` with its duration. If the future is dropped, nothing is reported.
pub(crate) async fn timed<F: Future>(future: F, report: impl FnOnce(Duration)) -> F::Output {
    let start = Instant::now();
    let output = future.await;
    report(start.elapsed());
    output
}
