//! Methods that reload the policies file and return the status of the file.

use std::{io, sync::Arc};

use super::{RateGuard, policies::Policies};
use crate::config::{PoliciesFileError, PoliciesFileStatus, Reloaded};

/// Methods for a policies file (feature `config`).
impl RateGuard {
    /// Reads the [policies file](crate::RateGuardBuilder::policies_file) and applies its content immediately, for
    /// example after the process receives a signal. Returns [`Reloaded::Unchanged`] if the guard has no policies
    /// file.
    ///
    /// This method blocks while it reads the file. In async code, call it in a blocking task such as
    /// `tokio::task::spawn_blocking`. If another thread is reading the file, this method waits up to 1 second for
    /// that thread.
    ///
    /// ```no_run
    /// # async fn on_sighup(guard: actix_rateguard_core::RateGuard) -> std::io::Result<()> {
    /// # struct Signal; impl Signal { async fn recv(&mut self) -> Option<()> { None } }
    /// # let mut hangups = Signal;
    /// // let mut hangups = tokio::signal::unix::signal(SignalKind::hangup())?;
    /// while hangups.recv().await.is_some() {
    ///     let _ = guard.reload_policies(); // the log reports errors
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PoliciesFileError`] if the file is invalid or cannot be read, or if another thread is still reading the file
    /// after 1 second. After an error, the current policies stay in effect.
    pub fn reload_policies(&self) -> Result<Reloaded, PoliciesFileError> {
        match &self.shared.policies {
            Policies::FromFile(file) => file.reload(&self.shared.names),
            Policies::Fixed(_) => Ok(Reloaded::Unchanged),
        }
    }

    /// Returns the status of the [policies file](crate::RateGuardBuilder::policies_file), or `None` if the guard has no
    /// policies file.
    #[must_use]
    pub fn policies_file(&self) -> Option<PoliciesFileStatus> {
        match &self.shared.policies {
            Policies::FromFile(file) => Some(file.status()),
            Policies::Fixed(_) => None,
        }
    }

    /// Starts the thread that checks the policies file for changes, if the guard has a policies file. The thread ends
    /// when the last clone of the guard is dropped.
    pub(super) fn watch_file(&self) -> io::Result<()> {
        let Policies::FromFile(file) = &self.shared.policies else { return Ok(()) };
        let shared = Arc::downgrade(&self.shared);
        file.watch(move |previous| {
            let shared = shared.upgrade()?;
            match &shared.policies {
                Policies::FromFile(file) => Some(file.poll(previous, &shared.names)),
                Policies::Fixed(_) => None,
            }
        })
    }

    pub(super) fn stop_watching(&self) {
        if let Policies::FromFile(file) = &self.shared.policies {
            file.stop_watching();
        }
    }
}
