//! A guard whose policies are in a file.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use super::{BuildError, PolicySet, RateGuard, RateGuardBuilder, policies::Policies};
use crate::{
    PoliciesFileError, PoliciesFileStatus, Reloaded,
    config::{PoliciesFile, StartupSettings},
};

/// Between two looks at the file.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// Policies in a file (feature `config`).
impl RateGuardBuilder {
    /// A file with policies, plans, exemptions and what happens without an answer of the store. What it says goes before
    /// what the program says under the same names, and is put in force again whenever it changes, without a restart.
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
    /// `#[rate_limit(policy = "login")]`, [`RateLimit::policy`](crate::RateLimit::policy), [`RateGuard::policy`] and
    /// [`Plan::Named`](crate::Plan::Named) take it by name. The file is put in force as a whole or not at all: one with any
    /// mistake in it, one without a name that the program uses, and one that is away, is refused and leaves in force what
    /// is; the log says why, once. At start it is an error of [`build`](Self::build). What was counted counts on under the
    /// new numbers, as with every change of a quota. A request that is under way goes on with what it has begun with.
    pub fn policies_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// How often the file with policies is looked at. Default: once a second. With [`Duration::ZERO`] never; then
    /// [`RateGuard::reload_policies`] puts a change in force.
    ///
    /// What is found twice in a row is put in force, so that a file that is being written is left alone.
    pub fn policies_file_interval(mut self, interval: Duration) -> Self {
        self.file_interval = Some(interval);
        self
    }

    /// The policies of a file, on the ground of what the program says. Settings that it has go before those of the program.
    pub(super) fn open_file(
        &mut self,
        path: PathBuf,
        from_builder: PolicySet,
    ) -> Result<Policies, BuildError> {
        let interval = self.file_interval.unwrap_or(DEFAULT_INTERVAL);
        let (file, at_start) = PoliciesFile::open(path, interval, from_builder, self.key_recipes)
            .map_err(BuildError::PoliciesFile)?;
        let StartupSettings {
            fail_closed_after,
            deadline,
            max_in_flight,
            denial_cache_ttl,
            replicas,
            http,
        } = at_start;
        self.fail_closed_after = fail_closed_after.or(self.fail_closed_after);
        self.deadline = deadline.unwrap_or(self.deadline);
        self.max_in_flight = max_in_flight.unwrap_or(self.max_in_flight);
        self.denial_cache_ttl = denial_cache_ttl.or(self.denial_cache_ttl);
        self.replicas = replicas.unwrap_or(self.replicas);
        self.http = http;
        Ok(Policies::OfFile(Box::new(file)))
    }
}

/// Policies in a file (feature `config`).
impl RateGuard {
    /// Reads the [file with policies](RateGuardBuilder::policies_file) now, and puts in force what it says: when somebody
    /// says so, as with a signal. A guard without such a file has [`Reloaded::Unchanged`].
    ///
    /// It reads a small file, and blocks as long as that takes: in a handler, `web::block` is the place for it. For somebody
    /// else who reads the file, it waits for a second at the most.
    ///
    /// ```no_run
    /// # async fn on_sighup(guard: actix_rateguard_core::RateGuard) -> std::io::Result<()> {
    /// # struct Signal; impl Signal { async fn recv(&mut self) -> Option<()> { None } }
    /// # let mut hangups = Signal;
    /// // let mut hangups = tokio::signal::unix::signal(SignalKind::hangup())?;
    /// while hangups.recv().await.is_some() {
    ///     let _ = guard.reload_policies(); // what is wrong is in the log
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PoliciesFileError`] if the file cannot be read, is still being read by somebody else, or has a mistake in it. What
    /// was in force is in force then.
    pub fn reload_policies(&self) -> Result<Reloaded, PoliciesFileError> {
        match &self.shared.policies {
            Policies::OfFile(file) => file.reload(&self.shared.claims),
            Policies::Fixed(_) => Ok(Reloaded::Unchanged),
        }
    }

    /// How things are with the [file with policies](RateGuardBuilder::policies_file), if the guard has one.
    #[must_use]
    pub fn policies_file(&self) -> Option<PoliciesFileStatus> {
        match &self.shared.policies {
            Policies::OfFile(file) => Some(file.status()),
            Policies::Fixed(_) => None,
        }
    }

    /// Begins to look at the file, if there is one. That ends with the last clone of the guard.
    pub(super) fn watch_file(&self) -> io::Result<()> {
        let Policies::OfFile(file) = &self.shared.policies else { return Ok(()) };
        let shared = Arc::downgrade(&self.shared);
        file.watch(move |before| {
            let shared = shared.upgrade()?;
            match &shared.policies {
                Policies::OfFile(file) => Some(file.poll(before, &shared.claims)),
                Policies::Fixed(_) => None,
            }
        })
    }

    pub(super) fn stop_watching(&self) {
        if let Policies::OfFile(file) = &self.shared.policies {
            file.stop_watching();
        }
    }
}
