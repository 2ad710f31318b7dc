//! Permits: a request holds a permit of each limit on requests in progress, until it ends.
//!
//! `tests/models/src/permits` specifies the protocol and checks a model of it.

mod acquire;
mod hold;
mod lease;
#[allow(clippy::module_inception, reason = "the folder is the table of contents")]
mod permit;
mod registry;
mod release;
mod renewal;

pub(super) use self::registry::PermitRegistry;
pub use self::{
    lease::{PermitLease, PermitWatch},
    permit::{Acquisition, Permit},
};
