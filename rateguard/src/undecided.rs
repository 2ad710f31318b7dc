//! The reasons why no limit has decided on a request.

/// Why no limit has decided on a request that reached its handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UndecidedReason {
    /// No limit applies: the route has no limit, the request is exempt, or the plan is unlimited.
    #[default]
    NotLimited,
    /// All limits are in shadow, so no limit decides on the response.
    Shadow,
    /// The store did not answer, and the limit fails open, so the request passed.
    StoreUnavailable,
}
