//! The component that decided a check.

/// The component that decided a check, or the reason why none did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecisionMode {
    /// The store decided.
    Store,
    /// The in-memory store decided. It is full, so the key shared its count with other keys.
    Overflow,
    /// The denial cache of the guard decided: the store denied the same check a moment before.
    DenialCache,
    /// The store did not answer, and this process decided in memory with its share of the limit.
    Local,
    /// The store did not answer, and the request passed.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    Open,
    /// The store did not answer, and the request was rejected.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    Closed,
    /// A policy in shadow or a variant that is not enforced decided, which denied no request.
    #[cfg(feature = "metrics")]
    Shadow,
}
