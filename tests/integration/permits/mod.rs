//! Tests of limits on the requests in progress: the permits, their leases, and the responses that hold them.

mod attribute;
mod denials;
mod failures;
mod guard;
mod middleware;
mod processes;
mod renewal;
mod streams;
pub mod traces;
