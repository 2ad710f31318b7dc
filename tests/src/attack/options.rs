//! The command line options of the program `attack`.

use std::time::Duration;

use super::AttackResult;

/// The command line options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the program measures only a few rows.
    pub is_small: bool,
    /// Words that select rows and attacks by their names. A row or an attack is selected if its name contains all of
    /// these words.
    pub only: Vec<String>,
    /// The duration of an attack.
    pub duration: Duration,
    /// The pause that each connection of the attack makes between a response and the next request.
    pub pause: Duration,
    /// The deadline of checks. `None` is the default deadline.
    pub deadline: Option<Duration>,
    /// Whether the judge also checks the latency of the victims.
    pub is_latency_judged: bool,
    /// Whether the program only prints the names of the rows and attacks.
    pub is_list: bool,
}

impl Options {
    /// Parses the command line arguments.
    ///
    /// # Errors
    ///
    /// Returns an error if an argument is unknown, or if the value of an argument is missing or invalid.
    pub fn read(mut args: impl Iterator<Item = String>) -> AttackResult<Self> {
        let mut options = Self {
            is_small: false,
            only: Vec::new(),
            duration: Duration::from_secs(3),
            pause: Duration::ZERO,
            deadline: None,
            is_latency_judged: false,
            is_list: false,
        };
        let mut seconds = None;
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("expected a value after {arg}"));
            match &*arg {
                "--small" => options.is_small = true,
                "--only" => options.only.push(value()?),
                "--seconds" => seconds = Some(positive(&value()?)?),
                "--deadline" => {
                    options.deadline = Some(Duration::from_millis(positive(&value()?)?));
                }
                "--pause" => options.pause = Duration::from_millis(positive(&value()?)?),
                "--judge-latency" => options.is_latency_judged = true,
                "--list" => options.is_list = true,
                other => {
                    return Err(format!(
                        "unknown argument {other}; expected --small, --only WORD, --seconds N, \
                         --pause MS, --deadline MS, --judge-latency and --list"
                    )
                    .into());
                }
            }
        }
        let default_seconds = if options.is_small { 1 } else { 3 };
        options.duration = Duration::from_secs(seconds.unwrap_or(default_seconds));
        Ok(options)
    }

    /// Returns whether the row or the attack with this name is selected.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.only.iter().all(|word| name.contains(word.as_str()))
    }
}

fn positive(text: &str) -> AttackResult<u64> {
    let number = text.parse().ok().filter(|number| *number > 0);
    Ok(number.ok_or_else(|| format!("expected a positive number, found {text}"))?)
}
