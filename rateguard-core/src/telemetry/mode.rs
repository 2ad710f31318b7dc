//! The component that decided a check.

/// The component that decided a check, or what happened to the request if no component decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecisionMode {
    /// The store decided the check.
    Store,
    /// The in-memory store decided the check. The store is full, so the key shared its count with other keys.
    Overflow,
    /// The denial cache of the guard decided the check, because the store denied the same check a moment before.
    DenialCache,
    /// The store did not answer, so this process decided the check in memory with its share of the limit.
    Local,
    /// The store did not answer, and the request passed.
    Open,
    /// The store did not answer, and the request was rejected.
    Closed,
    /// A policy in shadow mode or a candidate that is not enforced decided the check, so no request was denied.
    Shadow,
}
