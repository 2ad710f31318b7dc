//! The clock of a Redis server, which a storm can step.

use std::{
    fs,
    io::Result,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::history::StoreCall;

/// A clock that only one Redis server uses.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The library that is preloaded into the Redis server.
    library: PathBuf,
    /// The file with the offset from the system clock in microseconds. The Redis server reads the file on every call.
    file: PathBuf,
}

impl Clock {
    /// Compiles a clock in this folder. Returns `None` if there is no C compiler.
    ///
    /// # Errors
    ///
    /// If the files cannot be written.
    pub fn compile(folder: &Path) -> Result<Option<Self>> {
        let clock = Self { library: folder.join("clock.so"), file: folder.join("clock") };
        let source = folder.join("clock.c");
        fs::write(&source, include_str!("clock.c"))?;
        fs::write(&clock.file, 0_i64.to_ne_bytes())?;
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&clock.library, &source])
            .arg("-ldl")
            .stderr(Stdio::null())
            .status();
        Ok(compiled.is_ok_and(|status| status.success()).then_some(clock))
    }

    /// Makes the Redis server that this command starts use the clock.
    pub fn attach_to(&self, server: &mut Command) {
        server.env("LD_PRELOAD", &self.library).env("RATEGUARD_CLOCK", &self.file);
    }

    /// Sets the offset from the system clock in microseconds.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn set(&self, ahead: i64) -> Result<()> {
        use std::io::Write as _;
        // The Redis server holds the file open, so the file is overwritten in place.
        fs::OpenOptions::new().write(true).open(&self.file)?.write_all(&ahead.to_ne_bytes())
    }
}

/// A clock step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// When the clock was stepped, in microseconds since 1970, by the system clock.
    pub at: u64,
    /// The new offset from the system clock in microseconds.
    pub ahead: i64,
}

/// Converts the time of a reply from the store's clock to the system clock.
///
/// If the clock was stepped during the call, the store may have used the old or the new offset. The result is the time
/// nearest to the call. If several of the possible times lie within the call, the time is ambiguous, and the reply is
/// removed.
pub fn correct(call: &mut StoreCall, settings: &[Setting]) {
    let Some(reply) = &mut call.reply else { return };
    let since = settings.partition_point(|setting| setting.at <= call.began);
    let until = settings.partition_point(|setting| setting.at <= call.ended);
    let before = since.checked_sub(1).map_or(0, |index| settings[index].ahead);
    let ahead = settings[since..until].iter().map(|setting| setting.ahead).chain([before]);
    let distance = |at: u64| call.began.saturating_sub(at) + at.saturating_sub(call.ended);
    let mut times: Vec<u64> = ahead.map(|ahead| reply.at.saturating_add_signed(-ahead)).collect();
    times.sort_by_key(|at| distance(*at));
    match times[..] {
        [_, next, ..] if distance(next) == 0 => call.reply = None,
        [nearest, ..] => reply.at = nearest,
        [] => {}
    }
}
