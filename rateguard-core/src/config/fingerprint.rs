//! Reads a policies file, and computes a fingerprint (a hash) that shows whether its content has changed.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

/// The maximum size of a policies file: 1 MiB. A typical file has a few kilobytes, so a larger file must be a
/// mistake.
const MAX_BYTES: u64 = 1 << 20;

/// The hash of a file's content, or the kind of the error if the file cannot be read. If two fingerprints are
/// equal, the content of the file has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFingerprint {
    Content([u8; 32]),
    Unreadable(ErrorKind),
}

impl FileFingerprint {
    pub(super) fn of(content: &io::Result<Vec<u8>>) -> Self {
        match content {
            Ok(bytes) => Self::Content(Sha256::digest(bytes).into()),
            Err(error) => Self::Unreadable(error.kind()),
        }
    }
}

/// Reads the content of a file. Each call follows symbolic links again, because Kubernetes updates a file by
/// changing a link.
///
/// The file is read even if its size and modification time have not changed, because the content can change without
/// a change of these two values.
pub(super) fn content(path: &Path) -> io::Result<Vec<u8>> {
    let invalid = |why| Err(io::Error::new(ErrorKind::InvalidInput, why));
    // The type of the file is checked before the file is opened, because opening a device can have side effects.
    if !fs::metadata(path)?.is_file() {
        return invalid("expected a regular file");
    }
    let file = open(path)?;
    // The type is checked again, because the path may now refer to a different file.
    if !file.metadata()?.is_file() {
        return invalid("expected a regular file");
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return invalid("expected a file of at most 1 MiB");
    }
    Ok(bytes)
}

/// Opens a file without blocking. Without `O_NONBLOCK`, a call that opens a named pipe would wait for a writer.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY,
    );
    options.open(path)
}
