//! How a check came to its outcome.

/// How a check came to its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The store decided.
    Store,
    /// So it did, and as it is full the key shared its count with others.
    Overflow,
    /// The store denied the same a moment ago, which the guard remembers.
    Remembered,
    /// The store did not answer, and this process decided with its share of the limit.
    Local,
    /// The store did not answer, and the request passes.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    Open,
    /// The store did not answer, and the request is refused.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    Closed,
    /// It was tried, and refused nobody.
    #[cfg(feature = "metrics")]
    Shadow,
}
