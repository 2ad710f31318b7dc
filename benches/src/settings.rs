//! What is asked for on the command line.

use std::{env, time::Duration};

use crate::Outcome;

/// How often and how long is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// So many times everything.
    pub rounds: usize,
    /// So long each time.
    pub lasts: Duration,
    /// Only what has this word in its name.
    pub only: String,
}

impl Settings {
    /// From `--rounds N`, `--seconds S` and `--only WORD`; there are 5 rounds by default.
    ///
    /// # Errors
    ///
    /// If there is something else.
    pub fn read() -> Outcome<Self> {
        Self::read_or(5)
    }

    /// The same, with so many rounds by default.
    ///
    /// # Errors
    ///
    /// If there is something else.
    pub fn read_or(rounds: usize) -> Outcome<Self> {
        let mut settings = Self { rounds, lasts: Duration::from_secs(3), only: String::new() };
        let mut args = env::args().skip(1);
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--rounds" => settings.rounds = value.parse()?,
                "--seconds" => settings.lasts = Duration::try_from_secs_f64(value.parse()?)?,
                "--only" => settings.only = value,
                _ => return Err("there are --rounds N, --seconds S and --only WORD".into()),
            }
        }
        Ok(settings)
    }
}
