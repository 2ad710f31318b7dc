//! Methods for policies in a file: builder settings, reload and status.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use super::{BuildError, PolicySet, RateGuard, RateGuardBuilder, policies::Policies};
use crate::{
    PoliciesFileError, PoliciesFileStatus, Reloaded,
    config::{PoliciesFile, StartupSettings},
};

/// The default interval at which the guard checks the policies file for changes.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// Policies in a file (feature `config`).
impl RateGuardBuilder {
    /// Sets a TOML file with policies, plans, exemptions and settings of the guard. Values in the file replace the
    /// values in the program. Changed policies, plans, exemptions and failure modes take effect without a restart. The
    /// other settings of `[guard]` are fixed at startup, so the guard rejects a changed file with another value until a
    /// restart.
    ///
    /// ```toml
    /// [guard]
    /// on_error = "closed"
    ///
    /// [access]
    /// allow_addresses = ["10.1.0.0/16"]
    ///
    /// [plans]
    /// free = "10/minute; 100/day"
    /// enterprise = "unlimited"
    ///
    /// [policies.login]
    /// rate = "5/minute; 20/hour"
    /// key = "ip"
    /// ban = "10/hour for 15m up to 1d"
    /// ```
    ///
    /// [`RateGuard::policy`] and the limits of an HTTP adapter find a policy by its name, and
    /// [`Plan::named`](crate::Plan::named) selects a plan.
    ///
    /// A file takes effect as a whole or not at all. If the file is missing or invalid, or lacks a name that the
    /// program uses, the current policies stay in effect and the guard logs the reason once. At startup,
    /// [`build`](Self::build) returns an error instead. Counts stay when a quota changes. A request in progress
    /// finishes with the policies with which the request began.
    pub fn policies_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Sets the interval at which the guard checks the policies file for changes. Default: 1 second. [`Duration::ZERO`]
    /// disables these checks. Then only [`RateGuard::reload_policies`] applies a change.
    ///
    /// A change takes effect when two consecutive checks find the same content, so the guard does not apply a file that
    /// an editor is still writing.
    pub fn policies_file_interval(mut self, interval: Duration) -> Self {
        self.file_interval = Some(interval);
        self
    }

    /// Opens the policies file. The settings in the file replace the settings of this builder.
    pub(super) fn open_file(
        &mut self,
        path: PathBuf,
        from_builder: PolicySet,
    ) -> Result<Policies, BuildError> {
        let interval = self.file_interval.unwrap_or(DEFAULT_INTERVAL);
        let (file, startup) = PoliciesFile::open(path, interval, from_builder, self.key_recipes)
            .map_err(BuildError::PoliciesFile)?;
        let StartupSettings {
            fail_closed_after,
            deadline,
            max_in_flight,
            denial_cache_ttl,
            replicas,
            http,
        } = startup;
        self.fail_closed_after = fail_closed_after.or(self.fail_closed_after);
        self.deadline = deadline.unwrap_or(self.deadline);
        self.max_in_flight = max_in_flight.unwrap_or(self.max_in_flight);
        self.denial_cache_ttl = denial_cache_ttl.or(self.denial_cache_ttl);
        self.replicas = replicas.unwrap_or(self.replicas);
        self.http = http;
        Ok(Policies::FromFile(Box::new(file)))
    }
}

/// Policies in a file (feature `config`).
impl RateGuard {
    /// Reads the [policies file](RateGuardBuilder::policies_file) and applies its content immediately, for example on a
    /// signal. Returns [`Reloaded::Unchanged`] if the guard has no such file.
    ///
    /// This method blocks while it reads the file. In async code, call it in a blocking task such as
    /// `tokio::task::spawn_blocking`. If another thread is reading the file, this method waits for up to 1 second.
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
    /// [`PoliciesFileError`] if the file is invalid, cannot be read, or is still being read by another thread after 1
    /// second. The current policies stay in effect.
    pub fn reload_policies(&self) -> Result<Reloaded, PoliciesFileError> {
        match &self.shared.policies {
            Policies::FromFile(file) => file.reload(&self.shared.names),
            Policies::Fixed(_) => Ok(Reloaded::Unchanged),
        }
    }

    /// Returns the status of the [policies file](RateGuardBuilder::policies_file). `None` if the guard has no such
    /// file.
    #[must_use]
    pub fn policies_file(&self) -> Option<PoliciesFileStatus> {
        match &self.shared.policies {
            Policies::FromFile(file) => Some(file.status()),
            Policies::Fixed(_) => None,
        }
    }

    /// Starts the thread that checks the file for changes, if there is a file. The thread ends when the last clone of
    /// the guard is dropped.
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
