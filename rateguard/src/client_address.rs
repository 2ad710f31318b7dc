//! The trace that shows how the guard determined the address of a client.
//! [`Explanation::client`](crate::explain::Explanation::client) returns this trace.

pub use actix_rateguard_core::{AddressTrace, Hop, StopReason};
