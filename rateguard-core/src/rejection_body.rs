//! The format of the response body for rejected HTTP requests. A policies file can set it for an HTTP adapter.

/// The format of the response body for rejected HTTP requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectionBody {
    /// Problem details (RFC 9457) if the `Accept` header lists `application/problem+json` or `application/json` and
    /// does not prefer text; otherwise plain text. An `Accept` header of more than 8 lines or 1,024 bytes is ignored.
    /// The default.
    #[default]
    Negotiated,
    /// Problem details for all clients.
    ProblemDetails,
    /// One line of plain text for all clients.
    Text,
}
