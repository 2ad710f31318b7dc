//! Admits requests with leases: `lease_worker URL PREFIX QUOTAS`.
//!
//! The program checks one key in bursts, with pauses in which units come back. For each admission, it prints a line
//! with the time before the check, the time after it, and whether a lease decided. The times are microseconds since
//! 1970. It runs until a test kills it. The test also stops it for a while.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{
    env,
    error::Error,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix_rateguard::{Key, Policy, RateGuard};

const TASKS: usize = 3;
const BURST: Duration = Duration::from_millis(400);
const PAUSE: Duration = Duration::from_millis(700);

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros())
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, prefix, quotas] =
        <[String; 3]>::try_from(args).map_err(|_| "usage: lease_worker URL PREFIX QUOTAS")?;
    // With the default deadline, checks would fail on a slow machine.
    let guard = RateGuard::redis(url).prefix(prefix).deadline(Duration::from_secs(60)).build()?;
    let policy = Policy::new("leases", quotas)?;
    let tasks = (0..TASKS).map(|_| {
        let (guard, policy) = (guard.clone(), policy.clone());
        tokio::spawn(async move {
            loop {
                let start = Instant::now();
                while start.elapsed() < BURST {
                    let before = now();
                    let decision = guard.check(&policy, &Key::global()).await;
                    let after = now();
                    let Ok(decision) = decision else { continue };
                    if decision.is_allowed() {
                        println!("{before} {after} {}", decision.is_leased());
                        tokio::time::sleep(Duration::from_micros(500)).await;
                    } else {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    });
    futures_util::future::join_all(tasks.collect::<Vec<_>>()).await;
    Ok(())
}
