//! Policies in a file: read, checked and put in force as a whole, also while the program runs.

mod access;
mod document;
mod error;
mod fields;
mod file;
mod guard;
mod judge;
mod limit;
mod mistakes;
mod nearest;
mod seen;
mod trial;
mod values;
mod watch;

pub use self::{
    error::{Mistake, PoliciesFileError},
    file::{PoliciesFileStatus, Reloaded},
};
pub(crate) use self::{file::PoliciesFile, guard::AtStart};
