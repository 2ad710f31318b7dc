//! The reasons why no limit has decided on a request.

/// Why no limit has decided on a request that reached its handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UndecidedReason {
    /// No limit applies: there is none, the request is exempt from it, or its plan is unlimited.
    #[default]
    NotLimited,
    /// All limits are in shadow, so none of them decides.
    Shadow,
    /// The store did not answer, and the limit fails open.
    StoreUnavailable,
}
