//! Writes the results of a replay: as a table, as JSON, as HTML, and as a policies file.

mod charts;
mod html;
mod json;
mod number;
mod suggestion;
mod summary;
mod table;
mod text;

pub(crate) use self::{
    html::html,
    json::json,
    suggestion::suggested_policies,
    summary::{LogSummary, SkippedLine, Summary},
    table::table,
    text::visible,
};
