//! Requests to the Lua script, batches of them, and replies, independent of the protocol.

mod batch;
mod reply;
mod request;

pub(super) use self::{
    batch::{Argument, Batch, ReplyEncoding, RequestIds},
    reply::{BatchOutcome, BatchReply},
    request::ScriptRequest,
};
use super::{BucketRequest, Operation, Receipt, RedisLog};
