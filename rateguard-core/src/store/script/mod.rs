//! Contains the code that Redis and Upstash share: the requests to the Lua script, the batches of requests, the
//! replies, and the store that uses them.

mod batch;
mod command;
mod document_call;
mod documents;
mod reply;
pub(super) mod request;
mod statistics;
mod store;

pub(super) use self::{
    batch::{Argument, Batch},
    command::{ScriptBy, ScriptCommand},
    document_call::DocumentCall,
    reply::{BatchOutcome, BatchReply},
    request::ScriptRequest,
    store::{ScriptStore, Transport},
};
use super::{BucketRequest, Operation, Receipt};
