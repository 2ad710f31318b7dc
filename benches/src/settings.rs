//! The command line options.

use std::{env, path::PathBuf, time::Duration};

use crate::BenchResult;

/// The extent of a measurement.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The number of rounds.
    pub rounds: usize,
    /// The duration of each measurement.
    pub duration: Duration,
    /// Only measurements whose name contains this word.
    pub only: String,
    /// A script of another version, which `script` measures in the same rounds.
    pub baseline: Option<PathBuf>,
}

impl Settings {
    /// Parses `--rounds N`, `--seconds S`, `--only WORD` and `--baseline FILE`. The default is 5 rounds.
    ///
    /// # Errors
    ///
    /// If an argument is unknown or invalid.
    pub fn read() -> BenchResult<Self> {
        Self::read_or(5)
    }

    /// The same with another default number of rounds.
    ///
    /// # Errors
    ///
    /// If an argument is unknown or invalid.
    pub fn read_or(rounds: usize) -> BenchResult<Self> {
        let mut settings =
            Self { rounds, duration: Duration::from_secs(3), only: String::new(), baseline: None };
        let mut args = env::args().skip(1);
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("expected a value after {name}"))?;
            match name.as_str() {
                "--rounds" => settings.rounds = value.parse()?,
                "--seconds" => settings.duration = Duration::try_from_secs_f64(value.parse()?)?,
                "--only" => settings.only = value,
                "--baseline" => settings.baseline = Some(value.into()),
                _ => {
                    let expected = "--rounds N, --seconds S, --only WORD or --baseline FILE";
                    return Err(format!("expected {expected}").into());
                }
            }
        }
        Ok(settings)
    }
}
