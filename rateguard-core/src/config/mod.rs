//! Policies files: parsing, validation, polling, and atomic replacement of the active policies.

mod access;
mod diagnostics;
mod document;
mod error;
mod fields;
mod file;
mod fingerprint;
mod guard;
mod limit;
mod suggest;
mod validate;
mod values;
mod watch;

pub use self::{
    error::{Diagnostic, PoliciesFileError},
    file::{PoliciesFileStatus, Reloaded},
};
pub(crate) use self::{file::PoliciesFile, guard::StartupSettings};
