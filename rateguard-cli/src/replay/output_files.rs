//! Refuses to overwrite the files that the replay reads, and files with content.

use std::path::{Path, PathBuf};

use super::{arguments::ReplayArguments, report::visible};
use crate::exit::Failure;

/// The number of characters of a path that are shown.
const SHOWN_CHARS: usize = 80;

/// Checks the files of `--html` and `--suggest`, before the replay reads a file.
///
/// # Errors
///
/// A [`Failure`] if such a file is also a log, the policies file or the other output, or if it has content and `--force`
/// is not set.
pub(super) fn check_output_files(arguments: &ReplayArguments) -> Result<(), Failure> {
    let mut used: Vec<(&str, PathBuf)> =
        arguments.inputs().map(|(name, path)| (name, canonical(path))).collect();
    for (name, path) in arguments.outputs() {
        let canonical = canonical(path);
        if let Some((other, _)) = used.iter().find(|(_, it)| *it == canonical) {
            return Err(Failure::usage(format!(
                "expected another file for {name} than for {other}, found {} for both",
                shown(path)
            )));
        }
        if !arguments.force && has_content(path) {
            return Err(Failure::usage(format!(
                "expected a new or empty file for {name}, found {} with content",
                shown(path)
            ))
            .help("`--force` overwrites the file"));
        }
        used.push((name, canonical));
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    visible(&path.display().to_string(), SHOWN_CHARS)
}

/// Returns one path for all notations of a file. The folder of a new file exists, but the file does not.
fn canonical(path: &Path) -> PathBuf {
    let of_new_file = || {
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    path.canonicalize().ok().or_else(of_new_file).unwrap_or_else(|| path.to_owned())
}

/// Returns whether a write would remove content. A device or a pipe has none.
fn has_content(path: &Path) -> bool {
    path.metadata().is_ok_and(|it| it.is_file() && it.len() > 0)
}
