//! The target of a command: the operator endpoints of a server, or Redis.

mod arguments;
mod key;
mod key_kind;
mod policy;
mod redis;
mod secret;
mod server;
mod tls;

pub(crate) use self::{
    arguments::{Target, TargetArguments},
    key::{KEY_HELP, KeyValues},
    policy::Listed,
    redis::{RedisTarget, failure_of, failure_of_store},
    server::Server,
};
