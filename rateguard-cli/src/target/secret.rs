//! Reads secrets from files and variables. A secret is never an argument, because other users of the machine can read
//! the arguments of a process.

use std::{env, fs, path::Path};

use crate::exit::Failure;

/// Returns the secret in the file, or else in the variable; `None` if neither is set. Line breaks at the end of a file
/// are not part of the secret.
pub(super) fn read(file: Option<&Path>, variable: &str) -> Result<Option<String>, Failure> {
    let (text, place) = match file {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| {
                let (path, kind) = (path.display(), error.kind());
                Failure::usage(format!(
                    "expected a file with the secret, failed to read {path}: {kind}"
                ))
            })?;
            (text.trim_end_matches(['\r', '\n']).to_owned(), path.display().to_string())
        }
        None => match env::var(variable) {
            Ok(text) => (text, variable.to_owned()),
            Err(env::VarError::NotPresent) => return Ok(None),
            Err(env::VarError::NotUnicode(_)) => {
                return Err(Failure::usage(format!(
                    "expected text in {variable}, found other bytes"
                )));
            }
        },
    };
    if text.is_empty() {
        return Err(Failure::usage(format!("expected a secret in {place}, found none")));
    }
    Ok(Some(text))
}
