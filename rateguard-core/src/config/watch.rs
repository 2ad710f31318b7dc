//! Starts and stops the thread that polls a file.

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

/// A thread that polls a file. The thread ends when this value is dropped or [stopped](Self::stop).
pub(super) struct Watch {
    interval: Duration,
    /// The thread ends when this sender is dropped. `None` if no thread runs.
    stop: Mutex<Option<Sender<()>>>,
}

impl Watch {
    /// Creates a watch that polls once in each interval. An interval of zero disables polling.
    pub(super) fn every(interval: Duration) -> Self {
        Self { interval, stop: Mutex::new(None) }
    }

    /// Starts a thread that calls `poll` after each interval, until `poll` returns `None`. The argument of a call
    /// is the result of the previous call.
    ///
    /// A separate thread polls, and not an async task, because a guard can be built without an async runtime, and
    /// because reading a file blocks.
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
        // While a thread holds the lock, it makes only one assignment. So the value is consistent even if the
        // thread panicked.
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = stop;
    }
}
