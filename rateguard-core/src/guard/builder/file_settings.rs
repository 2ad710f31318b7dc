//! The builder settings for a policies file.

use std::{path::PathBuf, time::Duration};

use crate::key::{KeyRecipes, plain_recipe};

/// The default interval at which the guard checks the policies file for changes.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// The path of the policies file, and the settings for reading the file.
pub(super) struct FileSettings {
    pub(super) path: Option<PathBuf>,
    pub(super) interval: Duration,
    pub(super) key_recipes: KeyRecipes,
}

impl Default for FileSettings {
    fn default() -> Self {
        Self { path: None, interval: DEFAULT_INTERVAL, key_recipes: plain_recipe }
    }
}
