//! Sends checks as fast as possible: `load_generator URL PREFIX RATE KEYS TASKS CHECKS`.
//!
//! The program prints `ready`, waits for a line on its standard input, and sends CHECKS checks in each of TASKS
//! tasks. Then it prints the results as one line: a [`rateguard_tests::Tally`].

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{env, error::Error, io, time::Duration};

use actix_rateguard::{Key, Policy, RateGuard};
use futures_util::future::join_all;
use rateguard_tests::Tally;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, prefix, rate, keys, tasks, checks] = <[String; 6]>::try_from(args)
        .map_err(|_| "usage: load_generator URL PREFIX RATE KEYS TASKS CHECKS")?;
    let (keys, tasks, checks): (usize, usize, usize) =
        (keys.parse()?, tasks.parse()?, checks.parse()?);

    // With the default deadline, checks would fail on a slow machine.
    let settings = RateGuard::redis(url).prefix(prefix).deadline(Duration::from_secs(60));
    // The denial cache is disabled, so Redis decides every check.
    let guard = settings.denial_cache_ttl(Duration::ZERO).build()?;
    let policy = Policy::new("load", rate)?;

    println!("ready");
    io::stdin().read_line(&mut String::new())?;

    let running = (0..tasks).map(|task| {
        let (guard, policy) = (guard.clone(), policy.clone());
        tokio::spawn(async move {
            let mut tally = Tally { admitted: vec![0; keys], unanswered: 0 };
            for check in 0..checks {
                let key = (task + check) % keys;
                match guard.check(&policy, &Key::from(key)).await {
                    Ok(decision) => tally.admitted[key] += u64::from(decision.is_allowed()),
                    Err(_) => tally.unanswered += 1,
                }
            }
            tally
        })
    });
    let mut total = Tally { admitted: vec![0; keys], unanswered: 0 };
    for tally in join_all(running).await {
        let tally = tally?;
        total.unanswered += tally.unanswered;
        for (sum, admitted) in total.admitted.iter_mut().zip(tally.admitted) {
            *sum += admitted;
        }
    }
    println!("{}", total.to_line());
    Ok(())
}
