//! The settings of the statistics.

/// The settings of the statistics of a guard, for
/// [`RateGuardBuilder::statistics`](crate::RateGuardBuilder::statistics).
///
/// ```
/// # use actix_rateguard_core::{RateGuard, Statistics};
/// let statistics = Statistics::new().process_name("web-1");
/// let guard = RateGuard::builder().statistics(statistics).build()?;
/// # Ok::<(), actix_rateguard_core::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Statistics {
    pub(crate) has_readable_keys: bool,
    pub(crate) process_name: Option<String>,
    pub(crate) is_observer: bool,
}

/// The maximum number of characters in the name of a process.
pub(crate) const MAX_PROCESS_NAME: usize = 64;

impl Statistics {
    /// Returns the default settings: digests of keys only, no name of the process, and the process takes part in the
    /// statistics of the fleet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the settings for a process that only reads the statistics of other processes, such as a tool on the
    /// command line. Such a process writes nothing, and is not in the list of processes.
    pub fn observer() -> Self {
        Self { is_observer: true, ..Self::default() }
    }

    /// Sets whether the statistics contain the text of denied keys, such as an address or a user id. Default: false.
    /// Then the statistics contain only the digest of a key.
    ///
    /// With `true`, every process that reads the statistics can read these texts, and on Redis or Upstash the store has
    /// them for up to 11 minutes. They are personal data in many countries. A text has at most 64 characters, and all
    /// characters that are not printable are escaped. Keys from the parts `bearer`, `cookie`, `header` and `session`
    /// have no text, because they can be credentials, and neither have keys that combine several keys. Keys from the
    /// parts `path`, `json` and `form` have their text, so leave this setting off if such a key is a secret.
    pub fn readable_keys(mut self, has_readable_keys: bool) -> Self {
        self.has_readable_keys = has_readable_keys;
        self
    }

    /// Sets the name of this process in the statistics, such as the name of its host. Default: no name. Only the first
    /// 64 characters are used.
    pub fn process_name(mut self, name: impl Into<String>) -> Self {
        self.process_name = Some(name.into().chars().take(MAX_PROCESS_NAME).collect());
        self
    }
}
