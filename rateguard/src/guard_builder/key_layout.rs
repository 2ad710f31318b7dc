//! The settings of keys and values in Redis.

use actix_rateguard_core::builder::RedisStoreConfig;

use super::core_settings::core_settings;
use crate::LogEncoding;

core_settings! {
    /// Settings for Redis and Upstash.
    impl[S: RedisStoreConfig] for S;

    /// The prefix of the keys in Redis. Default: `rateguard`. Guards with the same prefix and Redis database share
    /// their counts, so give each application its own prefix.
    prefix(prefix: impl Into<String>);

    /// How Redis stores the sliding-window logs of [`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow):
    /// packed, or readable for other commands. Default: [`LogEncoding::Packed`](crate::LogEncoding::Packed).
    log_encoding(encoding: LogEncoding);
}
