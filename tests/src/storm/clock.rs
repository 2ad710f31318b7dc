//! A clock for the Redis server of a storm, which is a test that injects random faults. A fault can step this
//! clock, which means that it sets the clock forward or back.

use std::{
    fs,
    io::Result,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::history::StoreCall;

/// A clock that only the Redis server of the storm uses.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The library that replaces the clock functions of the Redis server through `LD_PRELOAD`.
    library: PathBuf,
    /// The file with the offset in microseconds from the system clock. The library reads this file on every call.
    file: PathBuf,
}

impl Clock {
    /// Compiles the library that replaces the clock functions, and writes it to this folder. Returns `None` if
    /// there is no C compiler.
    ///
    /// # Errors
    ///
    /// Returns an error if the files cannot be written.
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

    /// Changes the environment of this command so that the Redis server uses the clock.
    pub fn attach_to(&self, server: &mut Command) {
        server.env("LD_PRELOAD", &self.library).env("RATEGUARD_CLOCK", &self.file);
    }

    /// Sets by how many microseconds this clock is ahead of the system clock.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub fn set(&self, ahead: i64) -> Result<()> {
        use std::io::Write as _;
        // The Redis server has already opened this file and would not read a new file. Therefore the content of
        // the file is overwritten.
        fs::OpenOptions::new().write(true).open(&self.file)?.write_all(&ahead.to_ne_bytes())
    }
}

/// A change of the clock's offset from the system clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The time of the step on the system clock, in microseconds since 1970.
    pub at: u64,
    /// The offset in microseconds from the system clock, after the step.
    pub ahead: i64,
}

/// Converts the time of a reply from the store's clock to the system clock.
///
/// If the clock was stepped during the call, the store may have used the old or the new offset. Each of these
/// offsets gives a possible time. The result is the possible time that is nearest to the period of the call. If
/// several possible times are within this period, the correct time is unknown, and the reply is removed from the
/// call.
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
