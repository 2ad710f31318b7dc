//! Measures how many requests each key sends, and what a limit would deny.

mod in_progress;
mod key_table;
mod peaks;
mod quota_use;
mod sliding_use;
mod timeline;

pub(crate) use self::{
    key_table::{KeyTable, RequestUse},
    peaks::Peaks,
    timeline::{Slot, Timeline},
};
