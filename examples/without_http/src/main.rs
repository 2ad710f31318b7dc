//! A worker without a web server: it sends at most 3 e-mails a second for each customer, and waits for its turn.
//!
//! ```sh
//! cargo run --package without_http
//! ```

#![allow(clippy::print_stdout, reason = "its output is what the example shows")]

use std::{
    error::Error,
    time::{Duration, Instant},
};

use actix_rateguard_core::{Key, Policy, RateGuard};
use env_logger::Env;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let guard = RateGuard::in_memory();
    let emails = Policy::new("emails", "3/second")?;
    let customer = Key::from("customer-7");

    let start = Instant::now();
    for number in 1..=10 {
        // A check that would have to wait for longer than 10 seconds is denied.
        let decision = guard.check_or_wait(&emails, &customer, Duration::from_secs(10)).await?;
        assert!(decision.is_allowed());
        println!("e-mail {number:2} after {:4} ms", start.elapsed().as_millis());
    }
    Ok(())
}
