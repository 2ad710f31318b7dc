//! Builder settings for the form of keys and values in Redis. Builders for Redis and Upstash have these settings.

use std::time::Duration;

use actix_rateguard_grammar::check_name;

use super::{FallibleStoreConfig, RateGuardBuilder};
use crate::{BuildError, store::log_encoding::LogEncoding};

/// The default of [`RateGuardBuilder::denial_cache_ttl`] on Redis and Upstash.
pub(super) const DEFAULT_DENIAL_CACHE_TTL: Duration = Duration::from_millis(250);

/// A store in a Redis database: [`Redis`](super::Redis), `RedisPool` or `Upstash`. This trait is sealed, so other
/// crates cannot implement it.
#[diagnostic::on_unimplemented(
    message = "this setting requires a guard on Redis, found the store `{Self}`",
    label = "only a guard on Redis has this setting",
    note = "for a guard on Redis, start with `RateGuard::redis(url)` in place of `RateGuard::builder()`; for another store, remove this setting"
)]
pub trait RedisStoreConfig: FallibleStoreConfig {
    /// Returns the settings for the form of keys and values.
    #[doc(hidden)]
    fn key_layout(&mut self) -> &mut KeyLayout;
}

/// The form of keys and values in Redis.
#[derive(Default)]
pub struct KeyLayout {
    prefix: Option<String>,
    pub(super) log_encoding: LogEncoding,
}

impl KeyLayout {
    /// Returns the prefix of the keys. Returns an error if there is no prefix, or if the prefix is not a valid name.
    pub(super) fn prefix(&mut self) -> Result<String, BuildError> {
        let prefix = self.prefix.take().ok_or(BuildError::NoPrefix)?;
        check_name(&prefix).map_err(BuildError::Prefix)?;
        Ok(prefix)
    }
}

/// Settings for guards that count in Redis or Upstash.
impl<S> RateGuardBuilder<S> {
    /// Sets the prefix of the keys in Redis. The prefix is usually the name of the application. Guards with the same
    /// prefix and the same Redis database share their counts. There is no default prefix, because two applications with
    /// a default prefix would share their counts by mistake. If the program sets no prefix, [`build`](Self::build)
    /// returns an error.
    ///
    /// A prefix has the form of a policy name: from 1 to 200 bytes, only letters, digits and ASCII punctuation without
    /// braces. [`build`](Self::build) returns an error for an invalid prefix.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self
    where
        S: RedisStoreConfig,
    {
        self.store.key_layout().prefix = Some(prefix.into());
        self
    }

    /// Sets how Redis stores the sliding-window logs of
    /// [`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow): in a packed form, or as sorted sets, which
    /// operators can read with Redis commands. Default: [`LogEncoding::Packed`].
    pub fn log_encoding(mut self, encoding: LogEncoding) -> Self
    where
        S: RedisStoreConfig,
    {
        self.store.key_layout().log_encoding = encoding;
        self
    }
}
