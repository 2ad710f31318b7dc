//! Shows the progress on standard error, if it is a terminal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The number of lines between two updates.
const LINES_PER_UPDATE: u64 = 16_384;

pub(crate) struct Progress {
    bar: ProgressBar,
    /// The number of bytes that were read, before decompression.
    read: Arc<AtomicU64>,
    lines: u64,
    start: Instant,
}

impl Progress {
    /// Starts to measure. `total_bytes` is the size of all files, if it is known.
    pub(crate) fn new(total_bytes: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total_bytes, ProgressDrawTarget::stderr());
        let template = match total_bytes {
            Some(_) => "{percent:>3} % of {total_bytes} [{bar:30}] {msg}, {eta} left",
            None => "{spinner} {bytes} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, read: Arc::default(), lines: 0, start: Instant::now() }
    }

    /// Returns the counter of the bytes that were read.
    pub(crate) fn read_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }

    pub(crate) fn count_line(&mut self) {
        self.lines += 1;
        if self.lines.is_multiple_of(LINES_PER_UPDATE) && !self.bar.is_hidden() {
            self.bar.set_position(self.read.load(Relaxed));
            self.bar.set_message(format!("{:.0} lines/s", self.lines_per_second()));
        }
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    pub(crate) fn lines_per_second(&self) -> f64 {
        self.lines as f64 / self.seconds().max(1e-9)
    }

    /// Removes the bar from the terminal.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
