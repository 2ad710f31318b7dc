//! Builder settings for the form of keys and values in Redis. Builders for Redis and Upstash have these settings.

use std::time::Duration;

use actix_rateguard_grammar::check_name;

use super::{FallibleStoreConfig, RateGuardBuilder};
use crate::{BuildError, store::log_encoding::LogEncoding};

/// The default of [`RateGuardBuilder::denial_cache_ttl`] on Redis and Upstash.
pub(super) const DEFAULT_DENIAL_CACHE_TTL: Duration = Duration::from_millis(250);

/// A store in a Redis database: [`Redis`](super::Redis), `RedisPool` or `Upstash`. This trait is sealed.
pub trait RedisStoreConfig: FallibleStoreConfig {
    /// Returns the settings for the form of keys and values.
    #[doc(hidden)]
    fn key_layout(&mut self) -> &mut KeyLayout;
}

/// The form of keys and values in Redis.
pub struct KeyLayout {
    pub(super) prefix: String,
    pub(super) log_encoding: LogEncoding,
}

impl Default for KeyLayout {
    fn default() -> Self {
        Self { prefix: "rateguard".to_owned(), log_encoding: LogEncoding::default() }
    }
}

impl KeyLayout {
    /// Returns an error if the prefix is not a valid name.
    pub(super) fn validate(&self) -> Result<(), BuildError> {
        check_name(&self.prefix).map_err(BuildError::Prefix)
    }
}

/// Settings for guards that count in Redis or Upstash.
impl<S: RedisStoreConfig> RateGuardBuilder<S> {
    /// Sets the prefix of the keys in Redis. Default: `rateguard`. Guards with the same prefix and Redis database
    /// share their counts, so give each application a different prefix.
    ///
    /// A prefix has the form of a policy name: from 1 to 200 bytes, only letters, digits and ASCII punctuation without
    /// braces. [`build`](Self::build) returns an error for an invalid prefix.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.store.key_layout().prefix = prefix.into();
        self
    }

    /// Sets how Redis stores the sliding-window logs of
    /// [`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow): in a packed form, or as sorted sets, which
    /// operators can read with Redis commands. Default: [`LogEncoding::Packed`].
    pub fn log_encoding(mut self, encoding: LogEncoding) -> Self {
        self.store.key_layout().log_encoding = encoding;
        self
    }
}
