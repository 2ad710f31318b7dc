//! The code that a handler with a macro attribute runs for each request. The macro expands to a call of [`limited`]
//! with one or more [`HandlerLimit`]s.

mod app_guard;
mod handler_limit;
mod handler_name;
mod key_input;
mod limit_inputs;
mod limited;
mod limited_handler;
mod settings;

pub(crate) use self::handler_limit::PolicySource;
pub use self::{
    handler_limit::HandlerLimit,
    key_input::KeyInput,
    limit_inputs::LimitInputs,
    limited::{exempt, limited},
    limited_handler::{LimitedHandler, handler, handler_with_decision},
    settings::{Allowance, Settings},
};
pub use crate::on_reject::OnRejectFn;
