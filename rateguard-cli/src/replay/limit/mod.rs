//! The limits that are replayed, and the keys by which they count the requests of a log.

mod guard;
mod key;
mod load;
mod policy;
mod route;
mod unsupported;

pub(crate) use self::{
    guard::{LimitGuard, poll_ready},
    key::{KeyReader, ReadKey},
    load::{LimitArguments, Limits, load},
    policy::{LimitPolicy, NotReplayed},
    route::RoutePattern,
};
