//! Stores the handles of metrics, so that each handle is registered with the recorder only once.

use std::sync::OnceLock;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, with_recorder};

use super::Metric;

static METADATA: Metadata<'_> = Metadata::new("rateguard", Level::INFO, None);

/// A handle (a counter, gauge or histogram) through which values of one metric are sent to the recorder.
pub(super) trait Handle: Sized {
    fn register(recorder: &dyn Recorder, key: &Key) -> Self;
}

impl Handle for Counter {
    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_counter(key, &METADATA)
    }
}

impl Handle for Gauge {
    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_gauge(key, &METADATA)
    }
}

impl Handle for Histogram {
    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_histogram(key, &METADATA)
    }
}

/// A handle that is registered with the recorder at the first use after a recorder was installed. All further uses
/// find the stored handle.
pub(super) struct LazyHandle<H> {
    key: Key,
    handle: OnceLock<H>,
}

impl<H: Handle> LazyHandle<H> {
    pub(super) fn new(metric: &Metric, labels: Vec<Label>) -> Self {
        Self { key: Key::from_parts(metric.name, labels), handle: OnceLock::new() }
    }

    /// Calls `record` with the handle. Returns true if this call stored the handle. The caller must then send the
    /// descriptions of the metrics to the recorder.
    pub(super) fn with_handle(&self, record: impl FnOnce(&H, IsNew)) -> IsNew {
        if let Some(handle) = self.handle.get() {
            record(handle, false);
            return false;
        }
        self.register(record)
    }

    #[cold]
    fn register(&self, record: impl FnOnce(&H, IsNew)) -> IsNew {
        with_recorder(|recorder| {
            let handle = H::register(recorder, &self.key);
            // Until a recorder is installed, the crate `metrics` provides a zero-sized recorder that does nothing.
            // A handle from this recorder is not stored, because a real recorder may be installed later.
            let is_new = size_of_val(recorder) > 0 && self.handle.set(handle).is_ok();
            match self.handle.get() {
                Some(handle) => record(handle, is_new),
                None => record(&H::register(recorder, &self.key), false),
            }
            is_new
        })
    }

    /// Returns the stored handle; `None` if no handle has been registered.
    pub(super) fn get(&self) -> Option<&H> {
        self.handle.get()
    }
}

/// Whether a call stored a new handle.
pub(super) type IsNew = bool;
