//! Reads the lines of log files, compressed or not.

mod compression;
mod lines;
mod progress;
mod source;
mod zstd;

pub(crate) use self::{
    lines::{Line, LineReader},
    progress::Progress,
    source::{LogSource, total_bytes},
};
