//! The builder settings for a policies file.

use std::{path::PathBuf, time::Duration};

use crate::{
    BuildError,
    key::{KeyRecipes, plain_recipe},
};

/// The default interval at which the guard checks the policies file for changes.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest valid interval between two checks of the policies file. Shorter intervals would need much CPU time.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// The path of the policies file, and the settings for reading the file.
pub(super) struct FileSettings {
    pub(super) path: Option<PathBuf>,
    pub(super) interval: Duration,
    pub(super) key_recipes: KeyRecipes,
}

impl FileSettings {
    /// Returns an error if the interval is too short. The interval is validated even if there is no file.
    pub(super) fn validate(&self) -> Result<(), BuildError> {
        let is_valid = self.interval.is_zero() || self.interval >= MIN_INTERVAL;
        if is_valid { Ok(()) } else { Err(BuildError::PoliciesFileInterval) }
    }
}

impl Default for FileSettings {
    fn default() -> Self {
        Self { path: None, interval: DEFAULT_INTERVAL, key_recipes: plain_recipe }
    }
}
