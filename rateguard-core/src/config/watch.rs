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

/// A polling thread. It ends when this value is dropped or [stopped](Self::stop).
pub(super) struct Watch {
    interval: Duration,
    /// The thread ends when this sender is dropped.
    stop: Mutex<Option<Sender<()>>>,
}

impl Watch {
    /// Creates a watch that polls at an interval. An interval of zero disables polling.
    pub(super) fn every(interval: Duration) -> Self {
        Self { interval, stop: Mutex::new(None) }
    }

    /// Calls `poll` at each interval with its previous result, until it returns `None`.
    ///
    /// Polling uses a thread and not a task, because a guard can be built without a runtime, and reading a file blocks.
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
        // The lock only covers one assignment, so a poisoned value is still consistent.
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = stop;
    }
}
