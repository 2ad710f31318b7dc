//! The command line options of a storm, which is a test that injects random faults.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use super::{defect::Defect, limits::SERVERS, schedule::Fault};

const USAGE: &str = "usage: storm [--seed N] [--minutes M] [--seconds S] [--servers N] [--faults A,B|all] \
                     [--judge-undecided true|false] [--defect NAME]";

/// The command line options.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed of the faults and of the load.
    pub seed: u64,
    /// The duration of the storm.
    pub duration: Duration,
    /// The number of servers.
    pub servers: usize,
    /// The faults that are injected.
    pub faults: Vec<Fault>,
    /// Whether two events are violations if no fault explains them: a request without a decision, and a permit that is
    /// lost without a reply to a renewal. On a loaded machine, this should be `false`, because Redis may get no CPU
    /// time until the deadline although no probe shows this.
    pub judges_undecided: bool,
    /// The mistake that the servers make, to test the judge.
    pub defect: Defect,
}

impl Options {
    /// Parses the options.
    ///
    /// # Errors
    ///
    /// Returns a message if an option is unknown, or if its value is missing or invalid.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        // A seed of 32 bits is short enough to be typed.
        let seed = RandomState::new().build_hasher().finish() >> 32;
        let mut faults = Fault::ALL.map(|(_, fault)| fault).to_vec();
        // After a clock step, the judge cannot check all rules, so the default faults do not include clock steps.
        faults.retain(|fault| !fault.sets_clock());
        let mut options = Self {
            seed,
            duration: Duration::from_secs(60),
            servers: SERVERS,
            faults,
            judges_undecided: true,
            defect: Defect::None,
        };
        while let Some(arg) = args.next() {
            let value = args.next().ok_or_else(|| format!("expected a value after {arg}"))?;
            let invalid = || format!("expected a number after {arg}, found `{value}`");
            match &*arg {
                "--seed" => options.seed = value.parse().map_err(|_| invalid())?,
                "--minutes" => {
                    let minutes: f64 = value.parse().map_err(|_| invalid())?;
                    options.duration =
                        Duration::try_from_secs_f64(minutes * 60.0).map_err(|_| invalid())?;
                }
                "--seconds" => {
                    options.duration = Duration::from_secs(value.parse().map_err(|_| invalid())?);
                }
                "--servers" => {
                    let servers = value.parse().ok().filter(|servers| *servers > 0);
                    options.servers = servers.ok_or_else(invalid)?;
                }
                "--faults" if value == "all" => {
                    options.faults = Fault::ALL.map(|(_, fault)| fault).to_vec();
                }
                "--faults" => {
                    options.faults = value.split(',').map(fault).collect::<Result<_, _>>()?;
                }
                "--judge-undecided" => {
                    options.judges_undecided = value.parse().map_err(|_| {
                        format!("expected `true` or `false` after {arg}, found `{value}`")
                    })?;
                }
                "--defect" => options.defect = value.parse()?,
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(options)
    }
}

fn fault(name: &str) -> Result<Fault, String> {
    let found = Fault::ALL.iter().find(|(it, _)| *it == name);
    found.map(|(_, fault)| *fault).ok_or_else(|| {
        let names = Fault::ALL.map(|(name, _)| name).join(", ");
        format!("unknown fault `{name}`; the faults are: all, {names}")
    })
}
