//! The script as every server that runs it is asked: requests, batches of them, and what a reply means.

mod batch;
mod reply;
mod request;

pub(super) use self::{
    batch::{Argument, Batch, ReplyEncoding, RequestIds},
    reply::{BatchReply, Outcome},
    request::ScriptRequest,
};
use super::{Charge, Operation, Receipt, RedisLog};
