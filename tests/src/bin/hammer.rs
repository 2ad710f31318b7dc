//! Checks as fast as it can: `hammer URL PREFIX RATE KEYS TASKS CHECKS`.
//!
//! It says `ready`, waits for a line, hammers, and ends with one line of [`rateguard_tests::Tally`].

#![allow(clippy::print_stdout, reason = "its parent reads it")]

use std::{env, error::Error, io, time::Duration};

use futures_util::future::join_all;
use rateguard::{Key, Policy, RateGuard};
use rateguard_tests::Tally;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, prefix, rate, keys, tasks, checks] = <[String; 6]>::try_from(args)
        .map_err(|_| "usage: hammer URL PREFIX RATE KEYS TASKS CHECKS")?;
    let (keys, tasks, checks): (usize, usize, usize) =
        (keys.parse()?, tasks.parse()?, checks.parse()?);

    // A slow machine must not turn an answer into none.
    let settings = RateGuard::redis(url).prefix(prefix).deadline(Duration::from_secs(60));
    // Each check is to be one of Redis.
    let guard = settings.remember_denials(Duration::ZERO).build()?;
    let policy = Policy::new("hammer", rate)?;

    println!("ready");
    io::stdin().read_line(&mut String::new())?;

    let hammering = (0..tasks).map(|task| {
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
    for tally in join_all(hammering).await {
        let tally = tally?;
        total.unanswered += tally.unanswered;
        for (sum, admitted) in total.admitted.iter_mut().zip(tally.admitted) {
            *sum += admitted;
        }
    }
    println!("{}", total.to_line());
    Ok(())
}
