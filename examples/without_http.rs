//! No server: background tasks that send no more than 3 e-mails a second for each customer, and wait for their turn.
//!
//! ```sh
//! cargo run --example without_http
//! ```

#![allow(clippy::print_stdout, reason = "it talks to whoever tries it")]

use std::{
    error::Error,
    time::{Duration, Instant},
};

use env_logger::Env;
use rateguard::{Key, Policy, RateGuard};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("warn"));
    let guard = RateGuard::in_memory();
    let emails = Policy::new("emails", "3/second")?;
    let customer = Key::from("customer-7");

    let start = Instant::now();
    for number in 1..=10 {
        // It is denied if it would have to wait for longer.
        let decision = guard.check_or_wait(&emails, &customer, Duration::from_secs(10)).await?;
        assert!(decision.is_allowed());
        println!("e-mail {number:2} after {:4} ms", start.elapsed().as_millis());
    }
    Ok(())
}
