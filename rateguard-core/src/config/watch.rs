//! A thread that looks at a file now and then.

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

/// Ends with this, or before, if it is stopped.
pub(super) struct Watch {
    interval: Duration,
    end: Mutex<Option<Sender<()>>>,
}

impl Watch {
    /// If the interval is 0, never.
    pub(super) fn every(interval: Duration) -> Self {
        Self { interval, end: Mutex::new(None) }
    }

    fn set(&self, end: Option<Sender<()>>) {
        // One assignment cannot be left half done.
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }
}

impl Watch {
    /// Has a look at the file taken from now on, until there is none to be taken. A look is told what was seen before.
    ///
    /// It is a thread and no task: a guard may be built where there is no runtime, and a worker that blocks stalls nothing.
    pub(super) fn start(
        &self,
        look: impl Fn(Option<FileFingerprint>) -> Option<FileFingerprint> + Send + 'static,
    ) -> io::Result<()> {
        let interval = self.interval;
        if interval.is_zero() {
            return Ok(());
        }
        let (end, ended) = channel::<()>();
        thread::Builder::new().name("rateguard-file".to_owned()).spawn(move || {
            let mut before = None;
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                before = look(before);
                if before.is_none() {
                    return;
                }
            }
        })?;
        self.set(Some(end));
        Ok(())
    }

    pub(super) fn stop(&self) {
        self.set(None);
    }
}
