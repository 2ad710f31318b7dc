//! Settings of an HTTP adapter that a policies file contains.

use std::time::Duration;

use actix_rateguard_headers::HeaderDialect;

use crate::{ClientAddress, RejectionBody};

/// The settings of an HTTP adapter in a policies file; `None` if the file does not set it. The guard only stores them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// How the address of a client is determined.
    pub client_address: Option<ClientAddress>,
    /// The header dialects of responses.
    pub headers: Option<Vec<HeaderDialect>>,
    /// The upper bound of the random time that is added to `Retry-After`.
    pub retry_jitter: Option<Duration>,
    /// The body of rejections.
    pub rejection_body: Option<RejectionBody>,
}
