//! The settings that determine the format of keys and values in Redis.

use actix_rateguard_core::builder::RedisStoreConfig;

use super::core_settings::core_settings;
use crate::builder::LogEncoding;

core_settings! {
    /// Settings for a store in Redis or at Upstash.
    impl[S] for S where S: RedisStoreConfig;

    /// Sets the prefix of the keys in Redis, which is usually the name of the application. There is no default, because
    /// guards with the same prefix and the same Redis database share their counts. Without a prefix,
    /// [`build`](Self::build) returns an error.
    prefix(prefix: impl Into<String>);

    /// Sets the format in which Redis stores the times of the requests that
    /// [`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow) counts. The packed format needs less memory.
    /// The format with sorted sets can be read with Redis commands. Default:
    /// [`LogEncoding::Packed`](crate::builder::LogEncoding::Packed).
    log_encoding(encoding: LogEncoding);
}
