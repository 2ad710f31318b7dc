//! Defines the setting that selects the format of sliding-window logs in Redis.

/// The format of a sliding-window log ([`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow)) in Redis.
///
/// Decisions are exact and identical with both formats. All processes that share a Redis server must use the same
/// format. If a process finds a log in the other format, it converts the log. All units in the log then count as
/// taken at the time of the conversion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogEncoding {
    /// The log is a string of packed timestamps. This format is the default, because it needs less CPU time and memory
    /// than a sorted set.
    ///
    /// The log does not distinguish units that were taken in the same microsecond. If the clock of Redis is set back,
    /// the store cannot refund units that were taken before this change, because the log no longer has their times.
    #[default]
    Packed,
    /// The log is a sorted set of timestamps in microseconds. Operators can read the log with `ZRANGE key 0 -1
    /// WITHSCORES`, but Redis needs more CPU time and memory than for [`Packed`](Self::Packed).
    SortedSet,
}
