//! Leased quotas: this process takes several units of a busy key from the store in one call, and admits requests with
//! them.
//!
//! `tests/models/src/leases` specifies the protocol and checks a model of it.

mod check;
mod jobs;
mod key_leases;
mod open_lease;
mod table;

pub(super) use self::table::LeaseTable;
