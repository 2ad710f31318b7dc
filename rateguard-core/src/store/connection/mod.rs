//! Logs when the guard connects to a server or cannot connect.

mod label;
mod log;
pub(super) mod reason;

pub(super) use self::{
    label::{Advice, Login, ServerLabel},
    log::ConnectionLog,
};
