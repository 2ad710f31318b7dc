//! The format of the body of a rejected HTTP request, which a policies file can set for an HTTP adapter.

/// The format of the body of a response that rejects a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectionBody {
    /// Problem details (RFC 9457) for clients whose `Accept` lists `application/problem+json` or `application/json` and
    /// does not prefer text; plain text for all others. An `Accept` of more than 8 header fields or 1,024 bytes is
    /// treated as absent. The default.
    #[default]
    Negotiated,
    /// Problem details for all clients.
    ProblemDetails,
    /// Plain text, one line, for all clients.
    Text,
}
