//! Handles of the recorder, looked up once.

use std::sync::OnceLock;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, with_recorder};

use super::Metric;

static METADATA: Metadata<'_> = Metadata::new("rateguard", Level::INFO, None);

/// What a recorder gives out to be told.
pub(super) trait Handle: Sized {
    fn of(recorder: &dyn Recorder, key: &Key) -> Self;
}

impl Handle for Counter {
    fn of(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_counter(key, &METADATA)
    }
}

impl Handle for Gauge {
    fn of(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_gauge(key, &METADATA)
    }
}

impl Handle for Histogram {
    fn of(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_histogram(key, &METADATA)
    }
}

/// A handle that is kept as soon as there is a recorder.
pub(super) struct Kept<H> {
    key: Key,
    handle: OnceLock<H>,
}

impl<H: Handle> Kept<H> {
    pub(super) fn new(metric: &Metric, labels: Vec<Label>) -> Self {
        Self { key: Key::from_parts(metric.name, labels), handle: OnceLock::new() }
    }

    /// Tells it something. Whether it was kept just now, so that there is more to be told once.
    pub(super) fn tell(&self, tell: impl FnOnce(&H, IsNew)) -> IsNew {
        if let Some(handle) = self.handle.get() {
            tell(handle, false);
            return false;
        }
        self.look_up(tell)
    }

    #[cold]
    fn look_up(&self, tell: impl FnOnce(&H, IsNew)) -> IsNew {
        with_recorder(|recorder| {
            let handle = H::of(recorder, &self.key);
            // While none is installed there is one that has nothing in it and does nothing. Another one may come.
            let is_kept = size_of_val(recorder) > 0 && self.handle.set(handle).is_ok();
            match self.handle.get() {
                Some(handle) => tell(handle, is_kept),
                None => tell(&H::of(recorder, &self.key), false),
            }
            is_kept
        })
    }

    /// The handle, if there is one.
    pub(super) fn kept(&self) -> Option<&H> {
        self.handle.get()
    }
}

/// Whether a handle was not there before.
pub(super) type IsNew = bool;
