//! Requests to the Lua script, batches of requests, replies, and the store that uses them. The code is the same for Redis
//! and for Upstash.

mod batch;
mod command;
mod reply;
pub(super) mod request;
mod store;

pub(super) use self::{
    batch::{Argument, Batch},
    command::{ScriptBy, ScriptCommand},
    reply::{BatchOutcome, BatchReply},
    request::ScriptRequest,
    store::{ScriptStore, Transport},
};
use super::{BucketRequest, Operation, Receipt};
