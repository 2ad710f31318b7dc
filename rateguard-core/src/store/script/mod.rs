//! Requests to the Lua script, batches of requests, and replies. The code is the same for Redis and for Upstash.

mod batch;
mod reply;
mod request;

pub(super) use self::{
    batch::{Argument, Batch, ReplyEncoding, RequestIds},
    reply::{BatchOutcome, BatchReply},
    request::ScriptRequest,
};
use super::{BucketRequest, LogEncoding, Operation, Receipt};
