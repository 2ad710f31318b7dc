//! The settings of the guard's policies file.

use std::{path::PathBuf, time::Duration};

use super::core_settings::core_settings;

core_settings! {
    /// Settings for policies in a file (feature `config`).
    impl[S] for S;

    /// Sets the path of a TOML file with policies, plans, exemptions and settings of the guard. Values in the file
    /// replace the values in the program. When the file changes, the guard applies the change without a restart.
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
    /// A limit uses a policy in the file by its name: `#[rate_limit(policy = "login")]`, or
    /// [`Limit::policy`](crate::Limit::policy). A function uses a plan in the file by its name:
    /// [`Plan::named`](crate::Plan::named).
    ///
    /// The guard applies the whole file or no part of it. There are three possible problems: the file is missing,
    /// the file is invalid, or the file lacks a name that the program uses. At startup, each of these problems is an
    /// error of [`build`](Self::build). After startup, the guard continues with its current settings and logs the
    /// problem once. A change of a quota does not reset the counts of its keys. If the file changes while an HTTP
    /// request is in progress, the limits of this request still use the old policies.
    policies_file(path: impl Into<PathBuf>);

    /// Sets the interval at which the guard checks the policies file for changes. Default: 1 second. With
    /// [`Duration::ZERO`], the guard does not check the file, so that only a call of `reload_policies` applies a
    /// change. If the interval is above zero but below 10 ms, [`build`](Self::build) returns an error.
    ///
    /// The guard applies a change only after two checks in a row have found the same content, so it does not apply
    /// a file that another program is still writing.
    policies_file_interval(interval: Duration);
}
