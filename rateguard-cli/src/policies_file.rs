//! Reads policies files, as a server does.

use std::{fs, path::Path, time::Duration};

use actix_rateguard_core::{BuildError, RateGuard, policies_file::Diagnostic};

use crate::exit::Failure;

/// Reads a file into a guard in memory.
///
/// # Errors
///
/// A [`Failure`] if the file cannot be read.
pub(crate) fn open(path: &Path) -> Result<Result<RateGuard, Vec<Diagnostic>>, Failure> {
    let name = path.display();
    let guard = RateGuard::builder().policies_file(path).policies_file_interval(Duration::ZERO);
    match guard.build() {
        Ok(guard) => Ok(Ok(guard)),
        Err(BuildError::PoliciesFile(error)) if error.diagnostics().is_empty() => {
            let cause =
                fs::read(path).err().map_or("another error".to_owned(), |it| it.kind().to_string());
            Err(Failure::usage(format!("expected a policies file, failed to read {name}: {cause}")))
        }
        Err(BuildError::PoliciesFile(error)) => Ok(Err(error.diagnostics().to_vec())),
        Err(error) => Err(Failure::problem(format!("{name}: {error}"))),
    }
}

/// Reads a valid file into a guard in memory. For commands that use the policies of a file.
pub(crate) fn open_valid(path: &Path) -> Result<RateGuard, Failure> {
    open(path)?.map_err(|diagnostics| {
        let name = path.display();
        let first = diagnostics.first().map(ToString::to_string).unwrap_or_default();
        Failure::problem(format!("{name}:{first}"))
            .help(format!("`rateguard check {name}` lists all errors of the file"))
    })
}
