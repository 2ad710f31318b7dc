//! No server: a background task that sends no more than 3 e-mails a second for each customer.
//!
//! ```sh
//! cargo run --example without_http
//! ```

#![allow(clippy::print_stdout, reason = "it talks to whoever tries it")]

use std::{error::Error, time::Instant};

use env_logger::Env;
use rateguard::{Key, Policy, RateGuard};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("warn"));
    let guard = RateGuard::in_memory();
    let emails = Policy::new("emails", "3/second")?;

    let start = Instant::now();
    for number in 1..=10 {
        // What waits as long as it is told gets in, unless somebody else was quicker.
        while let Some(wait) = guard.check(&emails, &Key::from("customer-7")).await?.retry_after() {
            tokio::time::sleep(wait).await;
        }
        println!("e-mail {number:2} after {:4} ms", start.elapsed().as_millis());
    }
    Ok(())
}
