//! The thread that polls a file.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use super::fingerprint::FileFingerprint;

/// A thread that polls a file until this value is dropped or [stopped](Self::stop).
pub(super) struct Watch {
    interval: Duration,
    /// The thread ends when this sender is dropped. `None` if no thread runs.
    stop: Mutex<Option<Sender<()>>>,
}

impl Watch {
    /// Creates a watch that polls at an interval. An interval of zero disables polling.
    pub(super) fn every(interval: Duration) -> Self {
        Self { interval, stop: Mutex::new(None) }
    }

    /// Calls `poll` after each interval with the result of the previous call, until `poll` returns `None`.
    ///
    /// Polling needs a thread instead of a task, because a guard can be built without an async runtime, and reading a
    /// file blocks.
    pub(super) fn start(
        &self,
        poll: impl Fn(Option<FileFingerprint>) -> Option<FileFingerprint> + Send + 'static,
    ) -> io::Result<()> {
        let interval = self.interval;
        if interval.is_zero() {
            return Ok(());
        }
        let (stop, stopped) = channel::<()>();
        thread::Builder::new().name("rateguard-file".to_owned()).spawn(move || {
            let mut fingerprint = None;
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                fingerprint = poll(fingerprint);
                if fingerprint.is_none() {
                    return;
                }
            }
        })?;
        self.set(Some(stop));
        Ok(())
    }

    pub(super) fn stop(&self) {
        self.set(None);
    }

    fn set(&self, stop: Option<Sender<()>>) {
        // While the lock is held, threads only make one assignment, so the value is consistent even after a panic.
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = stop;
    }
}
