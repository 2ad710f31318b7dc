//! Publishes statistics in a process that a test kills: `statistics_worker URL PREFIX`.
//!
//! The program checks one key three times, prints `ready`, and then runs until its standard input ends.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{env, error::Error, io, time::Duration};

use actix_rateguard::{Key, Policy, RateGuard, Statistics};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, prefix] =
        <[String; 2]>::try_from(args).map_err(|_| "usage: statistics_worker URL PREFIX")?;
    // With the default deadline, checks would fail on a slow machine.
    let builder = RateGuard::redis(url).prefix(prefix).deadline(Duration::from_secs(60));
    let guard = builder.statistics(Statistics::new().process_name("worker")).build()?;
    let policy = Policy::new("statistics-worker", "2/hour")?;
    for _ in 0..3 {
        guard.check(&policy, &Key::global()).await?;
    }
    println!("ready");
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}
