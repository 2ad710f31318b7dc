//! Looks for inputs for which something does not hold: `fuzz [TARGET…] [--runs N] [--seed S]`.
//!
//! It says for each target how often it ran, for how long, and what came of it. It fails with the input if something
//! does not hold.

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

/// What is asked for.
struct Wanted {
    targets: Vec<(&'static str, Run)>,
    runs: u64,
    seed: u64,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Wanted { targets, runs, seed } = wanted(env::args().skip(1))?;
    println!("seed {seed}");

    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (targets, is_broken) = (Mutex::new(targets.into_iter()), AtomicBool::new(false));
    let next = || targets.lock().ok()?.next();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((name, run)) = next() {
                    // These write a file each, which takes as long as ten of the others.
                    let runs = if name == "policies" { runs.div_ceil(10) } else { runs };
                    match run(runs, seed) {
                        Ok(report) => println!("{name}: {report}"),
                        Err(broken) => {
                            eprintln!("{name}: {broken}");
                            is_broken.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    Ok(if is_broken.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn wanted(mut args: impl Iterator<Item = String>) -> Result<Wanted, Box<dyn Error>> {
    // Short enough to be typed again.
    let seed = RandomState::new().build_hasher().finish() >> 32;
    let mut wanted = Wanted { targets: Vec::new(), runs: 1_000_000, seed };
    while let Some(arg) = args.next() {
        let mut number = || {
            args.next()
                .ok_or_else(|| format!("{arg} wants a number"))?
                .parse::<u64>()
                .map_err(Box::<dyn Error>::from)
        };
        match &*arg {
            "--runs" => wanted.runs = number()?,
            "--seed" => wanted.seed = number()?,
            name => wanted.targets.push(
                *TARGETS.iter().find(|(known, _)| *known == name).ok_or_else(|| {
                    let legal = TARGETS.map(|(name, _)| name).join(", ");
                    format!("there is no target \"{name}\"; the targets are: {legal}")
                })?,
            ),
        }
    }
    if wanted.targets.is_empty() {
        wanted.targets = TARGETS.to_vec();
    }
    Ok(wanted)
}
