//! The clock of a server, to be set.

use std::{
    fs,
    io::Result,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::history::Asked;

/// A clock that one server has for itself.
#[derive(Clone, Debug)]
pub struct Clock {
    /// What is loaded into the server.
    library: PathBuf,
    /// By how many microseconds it is ahead, as the server reads it.
    file: PathBuf,
}

impl Clock {
    /// A clock with its files in this folder; none where there is no C compiler.
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

    /// Gives it to the server that this starts.
    pub fn give_to(&self, server: &mut Command) {
        server.env("LD_PRELOAD", &self.library).env("RATEGUARD_CLOCK", &self.file);
    }

    /// Sets it to be ahead by so many microseconds.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn set(&self, ahead: i64) -> Result<()> {
        use std::io::Write as _;
        // In its place, as the server has it open.
        fs::OpenOptions::new().write(true).open(&self.file)?.write_all(&ahead.to_ne_bytes())
    }
}

/// The clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// When, in microseconds since 1970, by a clock that was not.
    pub at: u64,
    /// By how many microseconds it is ahead since.
    pub ahead: i64,
}

/// The time of the store in an answer, as a clock tells it that was never set. If it was set while the answer was waited for,
/// either may be it: the one that is nearer to when it was waited for. If that was so long that both are within it, nobody
/// knows when the answer was given, and it is taken for none.
pub fn correct(asked: &mut Asked, settings: &[Setting]) {
    let Some(said) = &mut asked.said else { return };
    let since = settings.partition_point(|setting| setting.at <= asked.began);
    let until = settings.partition_point(|setting| setting.at <= asked.ended);
    let before = since.checked_sub(1).map_or(0, |place| settings[place].ahead);
    let ahead = settings[since..until].iter().map(|setting| setting.ahead).chain([before]);
    let off = |at: u64| asked.began.saturating_sub(at) + at.saturating_sub(asked.ended);
    let mut times: Vec<u64> = ahead.map(|ahead| said.at.saturating_add_signed(-ahead)).collect();
    times.sort_by_key(|at| off(*at));
    match times[..] {
        [_, next, ..] if off(next) == 0 => asked.said = None,
        [nearest, ..] => said.at = nearest,
        [] => {}
    }
}
