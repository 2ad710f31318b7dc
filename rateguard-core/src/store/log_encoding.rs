//! The encoding of sliding-window logs in Redis.

/// The encoding of the log of [`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow) in Redis.
///
/// Both encodings are exact and count the same. All processes that share a Redis must use the same encoding. A log in
/// the other encoding is converted, but its units then count as taken at the time of the conversion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedisLog {
    /// A string of packed timestamps. This is the default, because it needs the least CPU time and memory.
    ///
    /// Units of the same microsecond are not distinguished. Units that were taken before the clock of Redis was set
    /// back cannot be refunded.
    #[default]
    Packed,
    /// A sorted set of timestamps in microseconds, which `ZRANGE key 0 -1 WITHSCORES` shows. It needs more CPU time and
    /// memory in Redis than [`Packed`](Self::Packed).
    SortedSet,
}
