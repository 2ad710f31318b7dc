//! The command line.

use std::time::Duration;

use super::Outcome;

/// What is measured, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether a few rows are enough.
    pub is_small: bool,
    /// Words that the name of a row or attack must have, all of them.
    pub only: Vec<String>,
    /// How long an attack takes.
    pub lasts: Duration,
    /// The deadline of checks, if it is not the default.
    pub deadline: Option<Duration>,
    /// Whether the latency of victims is judged.
    pub is_latency_judged: bool,
    /// Whether names are printed instead.
    pub is_list: bool,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// If one of them is unknown or has no value.
    pub fn read(mut args: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut options = Self {
            is_small: false,
            only: Vec::new(),
            lasts: Duration::from_secs(3),
            deadline: None,
            is_latency_judged: false,
            is_list: false,
        };
        let mut seconds = None;
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match &*arg {
                "--small" => options.is_small = true,
                "--only" => options.only.push(value()?),
                "--seconds" => seconds = Some(positive(&value()?)?),
                "--deadline" => {
                    options.deadline = Some(Duration::from_millis(positive(&value()?)?));
                }
                "--judge-latency" => options.is_latency_judged = true,
                "--list" => options.is_list = true,
                other => {
                    return Err(format!(
                        "unknown argument {other}; legal are --small, --only WORD, --seconds N, \
                         --deadline MS, --judge-latency and --list"
                    )
                    .into());
                }
            }
        }
        let usual = if options.is_small { 1 } else { 3 };
        options.lasts = Duration::from_secs(seconds.unwrap_or(usual));
        Ok(options)
    }

    /// Whether a row or attack of this name is asked for.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.only.iter().all(|word| name.contains(word.as_str()))
    }
}

fn positive(text: &str) -> Outcome<u64> {
    let number = text.parse().ok().filter(|number| *number > 0);
    Ok(number.ok_or_else(|| format!("{text} is not a positive number"))?)
}
