//! The files of a replay, and the standard input.

use std::{
    fs::File,
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::compression::decompressed;

/// A log: a file, or the standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogSource {
    File(PathBuf),
    Stdin,
}

impl LogSource {
    /// Returns the sources of these arguments. No argument and the argument `-` are the standard input.
    pub(crate) fn of_arguments(paths: &[PathBuf]) -> Vec<Self> {
        let source = |path: &PathBuf| match path == Path::new("-") {
            true => Self::Stdin,
            false => Self::File(path.clone()),
        };
        if paths.is_empty() { vec![Self::Stdin] } else { paths.iter().map(source).collect() }
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "-".to_owned(),
        }
    }

    /// Tests whether the file can be read. Opens regular files only, because a named pipe can be opened only once.
    ///
    /// # Errors
    ///
    /// The error of the operating system, [`io::ErrorKind::IsADirectory`], or [`io::ErrorKind::Unsupported`] for a
    /// compression that the tool cannot read.
    pub(crate) fn check(&self) -> io::Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        let metadata = path.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if metadata.is_file() {
            decompressed(File::open(path)?)?;
        }
        Ok(())
    }

    /// Opens the log. `read` counts the bytes of the file, before they are decompressed.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub(crate) fn open(&self, read: Arc<AtomicU64>) -> io::Result<Box<dyn BufRead>> {
        match self {
            Self::File(path) => decompressed(CountedReader { inner: File::open(path)?, read }),
            Self::Stdin => decompressed(CountedReader { inner: io::stdin(), read }),
        }
    }
}

/// Returns the sum of the sizes of the files, or `None` if a source is no regular file.
pub(crate) fn total_bytes(sources: &[LogSource]) -> Option<u64> {
    sources.iter().try_fold(0, |sum, source| match source {
        LogSource::File(path) => {
            let metadata = path.metadata().ok().filter(|it| it.is_file())?;
            Some(sum + metadata.len())
        }
        LogSource::Stdin => None,
    })
}

struct CountedReader<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for CountedReader<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(to)?;
        self.read.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}
