//! Requests to the Lua script, batches of requests, and replies. The code is the same for Redis and for Upstash.

mod batch;
mod reply;
pub(super) mod request;

pub(super) use self::{
    batch::{Argument, Batch, RequestIds},
    reply::{BatchOutcome, BatchReply},
    request::ScriptRequest,
};
use super::{BucketRequest, Operation, Receipt};
