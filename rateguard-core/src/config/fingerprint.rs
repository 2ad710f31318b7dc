//! What a look at a file finds.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

/// A file with policies has some kilobytes.
const MOST_BYTES: u64 = 1 << 20;

/// What is in a file, or why that cannot be read, to be compared with what is found another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFingerprint {
    Text([u8; 32]),
    Nothing(ErrorKind),
}

impl FileFingerprint {
    pub(super) fn of(content: &io::Result<Vec<u8>>) -> Self {
        match content {
            Ok(bytes) => Self::Text(Sha256::digest(bytes).into()),
            Err(error) => Self::Nothing(error.kind()),
        }
    }
}

/// The bytes of a file, of which links lead to the right one at any moment.
///
/// All of it is read each time: neither times nor sizes tell of every change.
pub(super) fn content(path: &Path) -> io::Result<Vec<u8>> {
    let refuse = |why| Err(io::Error::new(ErrorKind::InvalidInput, why));
    // What a device does when it is opened is not for us to find out.
    if !fs::metadata(path)?.is_file() {
        return refuse("it is not a file");
    }
    let file = open(path)?;
    // Another may be there by now.
    if !file.metadata()?.is_file() {
        return refuse("it is not a file");
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return refuse("it has more than a megabyte");
    }
    Ok(bytes)
}

/// Without waiting for who writes into a pipe, or for what some files of the system have to say.
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
