//! The setting for the format of sliding-window logs in Redis.

/// The format of a sliding-window log ([`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow)) in Redis.
///
/// Both formats give the same exact decisions. All processes that share a Redis server must use the same format. If a
/// process finds a log in the other format, it converts the log, and all units in the log then count as taken at that
/// time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogEncoding {
    /// A string of packed timestamps. This is the default, because it needs the least CPU time and memory.
    ///
    /// The log does not distinguish units of the same microsecond. The store cannot refund units that it took before
    /// the clock of Redis was set back, because the log no longer has their times.
    #[default]
    Packed,
    /// A sorted set of timestamps in microseconds. Operators can read the log with `ZRANGE key 0 -1 WITHSCORES`, but
    /// Redis needs more CPU time and memory than for [`Packed`](Self::Packed).
    SortedSet,
}
