//! Builder methods for a policies file.

use std::{path::PathBuf, time::Duration};

use super::{RateGuardBuilder, settings::BuilderSettings};
use crate::{
    BuildError,
    config::{PoliciesFile, StartupSettings},
    guard::{PolicySet, policies::Policies},
};

/// Settings for a policies file (feature `config`).
impl<S> RateGuardBuilder<S> {
    /// Sets a TOML file with policies, plans, exemptions and settings of the guard. Values in the file replace the
    /// values in the program. Changed policies, plans, exemptions and failure modes take effect without a restart. The
    /// other settings in `[guard]` are fixed at startup. If a changed file has another value for such a setting, the
    /// guard rejects the file until the application restarts.
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
    /// [`RateGuard::policy`](crate::RateGuard::policy) and the limits of an HTTP adapter find a policy by its name,
    /// and [`Plan::named`](crate::Plan::named) selects a plan.
    ///
    /// A file takes effect as a whole or not at all. The guard rejects a file that is missing or invalid, or that lacks
    /// a policy or plan which the program uses. The current policies then stay in effect, and the guard logs the reason
    /// once. At startup, [`build`](Self::build) returns an error instead.
    ///
    /// When a quota changes, the counts stay valid. A request in progress uses the policies that were in effect when
    /// the request began.
    pub fn policies_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.file.path = Some(path.into());
        self
    }

    /// Sets the interval at which the guard checks the policies file for changes. Default: 1 second. [`Duration::ZERO`]
    /// disables these checks, so that only [`reload_policies`](crate::RateGuard::reload_policies) applies a change.
    /// [`build`](Self::build) returns an error for an interval between zero and 10 ms.
    ///
    /// A change takes effect when two consecutive checks find the same content, so the guard does not apply a file that
    /// an editor is still writing.
    pub fn policies_file_interval(mut self, interval: Duration) -> Self {
        self.settings.file.interval = interval;
        self
    }
}

impl BuilderSettings {
    /// Opens the policies file. The settings in the file replace the settings of this builder.
    pub(super) fn open_file(
        &mut self,
        path: PathBuf,
        from_builder: PolicySet,
    ) -> Result<Policies, BuildError> {
        let interval = self.file.interval;
        let (file, startup) =
            PoliciesFile::open(path, interval, from_builder, self.file.key_recipes)
                .map_err(BuildError::PoliciesFile)?;
        let StartupSettings {
            fail_closed_after,
            deadline,
            max_in_flight,
            max_waiting,
            max_waiting_per_key,
            denial_cache_ttl,
            replicas,
            overrides,
            http,
        } = startup;
        self.fail_closed_after = fail_closed_after.or(self.fail_closed_after);
        self.deadline = deadline.unwrap_or(self.deadline);
        self.max_in_flight = max_in_flight.unwrap_or(self.max_in_flight);
        self.max_waiting.total = max_waiting.unwrap_or(self.max_waiting.total);
        self.max_waiting.per_key = max_waiting_per_key.unwrap_or(self.max_waiting.per_key);
        self.denial_cache_ttl = denial_cache_ttl.or(self.denial_cache_ttl);
        self.replicas = replicas.unwrap_or(self.replicas);
        self.has_overrides = overrides.unwrap_or(self.has_overrides);
        self.http = http;
        Ok(Policies::FromFile(Box::new(file)))
    }
}
