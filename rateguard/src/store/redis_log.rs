//! How the exact log is kept in Redis.

/// How a Redis keeps the log of [`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow). Both are exact, and count the
/// same.
///
/// All who share a Redis have to keep it alike: a log of the other form is taken over, but all that counts in it is taken to
/// have come at that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedisLog {
    /// A string of packed time stamps: the least time and memory. The default.
    ///
    /// Several who are admitted in one microsecond are not told apart: after the clock of Redis was set back, what was taken
    /// before can no longer be given back.
    #[default]
    Packed,
    /// A sorted set of time stamps in microseconds, which `ZRANGE key 0 -1 WITHSCORES` shows. It costs Redis more of both.
    SortedSet,
}
