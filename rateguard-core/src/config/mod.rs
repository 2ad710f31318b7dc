//! Policies in a file: read, checked and put in force as a whole, also while the program runs.

mod access;
mod document;
mod error;
mod fields;
mod file;
mod fingerprint;
mod guard;
mod limit;
mod mistakes;
mod shadow;
mod suggest;
mod validate;
mod values;
mod watch;

pub use self::{
    error::{Diagnostic, PoliciesFileError},
    file::{PoliciesFileStatus, Reloaded},
};
pub(crate) use self::{file::PoliciesFile, guard::StartupSettings};
