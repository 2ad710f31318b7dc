//! The settings that a policies file contains for an HTTP adapter.

use std::time::Duration;

use actix_rateguard_headers::HeaderDialect;

use crate::{ClientAddress, RejectionBody};

/// The settings that a policies file contains for an HTTP adapter. A field is `None` if the file does not set it.
/// The guard only stores these settings for the adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// How the adapter determines the address of a client.
    pub client_address: Option<ClientAddress>,
    /// The dialects (names and formats) in which the adapter writes the rate limit headers of responses.
    pub headers: Option<Vec<HeaderDialect>>,
    /// The maximum random time that the adapter adds to `Retry-After`.
    pub retry_jitter: Option<Duration>,
    /// The body of the response to a rejected HTTP request.
    pub rejection_body: Option<RejectionBody>,
    /// The maximum length in bytes of a request body from which the adapter reads a key.
    pub max_key_body: Option<usize>,
}
