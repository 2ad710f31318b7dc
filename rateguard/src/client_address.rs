//! The trace of how the address of a client was determined, as
//! [`Explanation::client`](crate::explain::Explanation::client) returns it.

pub use actix_rateguard_core::{AddressTrace, Hop, StopReason};
