//! Defines the format of the body in a response that rejects an HTTP request. A policies file can set the format
//! for an HTTP adapter.

/// The format of the body in a response that rejects an HTTP request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectionBody {
    /// The `Accept` header of the request determines the format. The body is problem details (RFC 9457) if the header
    /// lists `application/problem+json` or `application/json`, and does not prefer text. In all other cases, the body
    /// is plain text. An `Accept` header of more than 8 lines or 1,024 bytes is ignored. This variant is the default.
    #[default]
    Negotiated,
    /// The body is problem details for every client.
    ProblemDetails,
    /// The body is one line of plain text for every client.
    Text,
}
