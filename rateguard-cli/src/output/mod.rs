//! Writes to the terminal: text, tables and JSON. No text of a server, a file or Redis can control the terminal.

mod escape;
mod number;
mod sink;
mod table;

pub(crate) use self::{
    escape::printable,
    number::{duration, rate, seconds, thousands},
    sink::{ColorChoice, Output, Style},
    table::Table,
};
