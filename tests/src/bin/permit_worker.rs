//! Holds permits: `permit_worker URL PREFIX QUOTAS`.
//!
//! The program reads one command in each line of its standard input, and answers with one line. `acquire` answers
//! `granted` or `denied`, and the program holds the permit until it ends. `valid` answers the number of permits that are
//! still valid. `release` releases all permits, and answers `released`. A test kills or stops the program.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{
    env,
    error::Error,
    io::{self, BufRead},
    time::Duration,
};

use actix_rateguard::{Key, Permit, Policy, RateGuard};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, prefix, quotas] =
        <[String; 3]>::try_from(args).map_err(|_| "usage: permit_worker URL PREFIX QUOTAS")?;
    // With the default deadline, checks would fail on a slow machine.
    let guard = RateGuard::redis(url).prefix(prefix).deadline(Duration::from_secs(60)).build()?;
    let policy = Policy::new("permits", quotas)?;
    let mut permits: Vec<Permit> = Vec::new();
    println!("ready");
    for line in io::stdin().lock().lines() {
        match &*line? {
            "acquire" => match guard.acquire(&policy, &Key::global()).await?.into_permit() {
                Some(permit) => {
                    permits.push(permit);
                    println!("granted");
                }
                None => println!("denied"),
            },
            "valid" => println!("{}", permits.iter().filter(|permit| permit.is_valid()).count()),
            "release" => {
                for permit in permits.drain(..) {
                    permit.release().await;
                }
                println!("released");
            }
            other => return Err(format!("unknown command `{other}`").into()),
        }
    }
    Ok(())
}
