//! Defines the decision mode, which names the component that decided a check.

/// The component that decided a check. If no component decided, the mode says what happened to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecisionMode {
    /// The store decided the check.
    Store,
    /// The in-memory store decided the check. The store was full, so several keys shared one count.
    Overflow,
    /// The process decided the check with a unit of a lease, which it had taken from the store before.
    Lease,
    /// The denial cache of the guard decided the check, because the store had denied the same check a moment
    /// before.
    DenialCache,
    /// The store did not answer, so this process decided the check in memory with its share of the limit.
    Local,
    /// The store did not answer, so the request passed without a decision.
    Open,
    /// The store did not answer, so the request was rejected without a decision.
    Closed,
    /// A policy in shadow mode, or candidate quotas that are not enforced, decided the check, so no request was
    /// denied.
    Shadow,
}
