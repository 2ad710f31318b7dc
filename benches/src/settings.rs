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
    /// The options of `http` and `accuracy`.
    pub http: HttpSettings,
}

/// How the HTTP servers and their clients are set up.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSettings {
    /// The number of connections of the load generator.
    pub connections: usize,
    /// The number of actix workers of the server.
    pub workers: usize,
    /// The time that a proxy adds to each round trip between the server and Redis. There is no proxy without it.
    pub delay: Option<Duration>,
    /// The requests per second of an open loop. Without it, each connection sends when its response has arrived.
    pub rate: Option<f64>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { connections: 64, workers: 1, delay: None, rate: None }
    }
}

const OPTIONS: &str = "--rounds N, --seconds S, --only WORD, --baseline FILE, --connections N, --workers N, \
                       --delay-ms X or --rate R";

impl Settings {
    /// Parses the options. The default is 5 rounds.
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
        let mut settings = Self {
            rounds,
            duration: Duration::from_secs(3),
            only: String::new(),
            baseline: None,
            http: HttpSettings::default(),
        };
        let mut args = env::args().skip(1);
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("expected a value after {name}"))?;
            settings.set(&name, value).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: String) -> BenchResult {
        match name {
            "--rounds" => self.rounds = value.parse()?,
            "--seconds" => self.duration = Duration::try_from_secs_f64(value.parse()?)?,
            "--only" => self.only = value,
            "--baseline" => self.baseline = Some(value.into()),
            "--connections" => self.http.connections = at_least_one(&value)?,
            "--workers" => self.http.workers = at_least_one(&value)?,
            "--delay-ms" => {
                let seconds = value.parse::<f64>()? / 1e3;
                self.http.delay = Some(Duration::try_from_secs_f64(seconds)?);
            }
            "--rate" => self.http.rate = Some(positive(&value)?),
            _ => return Err(format!("expected {OPTIONS}").into()),
        }
        Ok(())
    }
}

fn at_least_one(value: &str) -> BenchResult<usize> {
    match value.parse()? {
        0 => Err("expected at least 1".into()),
        number => Ok(number),
    }
}

fn positive(value: &str) -> BenchResult<f64> {
    let number: f64 = value.parse()?;
    if number.is_finite() && number > 0.0 {
        Ok(number)
    } else {
        Err("expected a number above 0".into())
    }
}
