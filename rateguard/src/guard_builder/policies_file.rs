//! The settings of a policies file.

use std::{path::PathBuf, time::Duration};

use super::core_settings::core_settings;

core_settings! {
    /// Policies in a file (feature `config`).
    impl[S] for S;

    /// A TOML file with policies, plans, exemptions and settings of the guard. The values in the file replace the
    /// values in the code. A change to the file takes effect without a restart.
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
    /// Limits use a policy by its name: `#[rate_limit(policy = "login")]`,
    /// [`RateLimit::policy`](crate::RateLimit::policy). Functions use a plan by its name with [`Plan::named`].
    ///
    /// A file takes effect as a whole or not at all. If the file is missing, is invalid, or lacks a name that the
    /// program uses, the guard keeps its current settings and logs the reason once. At startup, each of these problems
    /// is an error of [`build`](Self::build). The counts stay when a quota changes. An HTTP request in progress keeps
    /// the policies with which it began.
    policies_file(path: impl Into<PathBuf>);

    /// The interval at which the guard looks for changes in the policies file. Default: 1 second. [`Duration::ZERO`]
    /// disables the interval; then only `reload_policies` applies a change. An interval between zero and 10 ms is an
    /// error of [`build`](Self::build).
    ///
    /// A change takes effect when the guard finds the same content twice in a row, so the guard does not apply a file
    /// that is still being written.
    policies_file_interval(interval: Duration);
}
