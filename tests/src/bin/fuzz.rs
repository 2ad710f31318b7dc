//! Searches for inputs that violate a property: `fuzz [TARGET…] [--runs N] [--seed S]`.
//!
//! A target is a kind of input with properties to check. For each target, the program prints the number of runs, the
//! duration, and the number of runs with each outcome. If an input violates a property, the program prints the input
//! and exits with an error.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::{
    env,
    error::Error,
    hash::{BuildHasher, Hasher, RandomState},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rateguard_tests::fuzz::{Run, TARGETS};

/// The command line options.
struct Options {
    targets: Vec<(&'static str, Run)>,
    runs: u64,
    seed: u64,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Options { targets, runs, seed } = parse_options(env::args().skip(1))?;
    println!("seed {seed}");

    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (targets, has_failed) = (Mutex::new(targets.into_iter()), AtomicBool::new(false));
    let next = || targets.lock().ok()?.next();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((name, run)) = next() {
                    // Each run of the target `policies` writes a file, and takes as long as ten runs of another
                    // target. Therefore this target has only a tenth of the runs.
                    let runs = if name == "policies" { runs.div_ceil(10) } else { runs };
                    match run(runs, seed) {
                        Ok(report) => println!("{name}: {report}"),
                        Err(counterexample) => {
                            eprintln!("{name}: {counterexample}");
                            has_failed.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    Ok(if has_failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn parse_options(mut args: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    // A seed of 32 bits is short enough to be typed.
    let seed = RandomState::new().build_hasher().finish() >> 32;
    let mut options = Options { targets: Vec::new(), runs: 1_000_000, seed };
    while let Some(arg) = args.next() {
        let mut number = || {
            args.next()
                .ok_or_else(|| format!("expected a number after {arg}"))?
                .parse::<u64>()
                .map_err(Box::<dyn Error>::from)
        };
        match &*arg {
            "--runs" => options.runs = number()?,
            "--seed" => options.seed = number()?,
            name => options.targets.push(
                *TARGETS.iter().find(|(target, _)| *target == name).ok_or_else(|| {
                    let names = TARGETS.map(|(name, _)| name).join(", ");
                    format!("unknown target `{name}`; the targets are: {names}")
                })?,
            ),
        }
    }
    if options.targets.is_empty() {
        options.targets = TARGETS.to_vec();
    }
    Ok(options)
}
