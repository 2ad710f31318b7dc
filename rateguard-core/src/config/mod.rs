//! Parses, validates and polls policies files, and replaces the active policies atomically.

mod access;
mod diagnostics;
mod document;
mod error;
mod fields;
mod file;
mod fingerprint;
mod guard;
mod limit;
mod syntax;
mod validate;
mod values;
mod watch;

pub use self::{
    error::{Diagnostic, PoliciesFileError},
    file::{PoliciesFileStatus, Reloaded},
};
pub(crate) use self::{file::PoliciesFile, guard::StartupSettings};
