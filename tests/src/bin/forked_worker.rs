//! Builds a guard, forks, and checks a key in the child process: `forked_worker URL`. It prints the cause of the failure
//! and the health of the guard in the child process.
//!
//! The process must run with `support/fork.c`, which makes the function for the id of the parent process fork.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{env, error::Error, os::unix::process::parent_id, time::Duration};

use actix_rateguard::{Key, Policy, RateGuard, StoreError};

/// Checks a key on a new runtime.
fn check(guard: &RateGuard) -> Result<Result<(), StoreError>, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let policy = Policy::new("forked", "1000000/hour")?;
    let result = runtime.block_on(guard.check(&policy, &Key::global()));
    Ok(result.map(|_| ()).map_err(|unavailable| unavailable.cause()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("usage: forked_worker URL")?;
    // The child process waits for this time. In the parent process, a reply on a slow machine may need several attempts.
    let deadline = Duration::from_millis(500);
    let guard = RateGuard::redis(url).prefix("forked").deadline(deadline).build()?;
    while check(&guard)?.is_err() {}
    let is_child = parent_id() == 0;
    if is_child {
        println!("{:?} {:?}", check(&guard)?, guard.health().cause());
    }
    Ok(())
}
