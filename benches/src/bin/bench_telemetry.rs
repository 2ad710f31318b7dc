//! The cost of metrics and traces: the CPU time in nanoseconds per check in memory. The program is built twice: without
//! the feature `telemetry`, which omits all of it, and with the feature.
//!
//! With `--count LISTENER` it only makes 100,000 checks, for a tool that counts instructions.

#![allow(clippy::print_stdout, reason = "this is a command")]

use std::{env, process::Command, time::Duration};

use actix_rateguard::{Key, Policy, Quota, RateGuard};
use futures_util::FutureExt;
use rateguard_benches::{
    BenchResult, cpu,
    figures::{Figures, table},
    in_memory::{Limiter, MemoryLoad},
    settings::Settings,
};

const CHECKS: u32 = 1_000_000;
const CHECKS_TO_COUNT: u32 = 100_000;

/// The listeners. A process has one recorder and one subscriber, so each listener is measured in its own process.
#[cfg(not(feature = "telemetry"))]
const LISTENERS: [(&str, &str); 1] = [("none", "without the features")];
#[cfg(feature = "telemetry")]
const LISTENERS: [(&str, &str); 4] = [
    ("none", "with both features, no listener"),
    ("recorder", "a Prometheus recorder"),
    ("rejecting", "a subscriber that rejects each span"),
    ("accepting", "a subscriber that accepts each span and records nothing"),
];

fn install(listener: &str) -> BenchResult {
    #[cfg(feature = "telemetry")]
    {
        use rateguard_benches::telemetry::{SpanFilter, install_recorder, install_subscriber};
        match listener {
            "recorder" => return install_recorder(),
            "rejecting" => return install_subscriber(SpanFilter::RejectAll),
            "accepting" => return install_subscriber(SpanFilter::AcceptAll),
            _ => {}
        }
    }
    if listener == "none" { Ok(()) } else { Err(format!("unknown listener `{listener}`").into()) }
}

/// One key, so that a check has little other cost.
fn load(is_allowed: bool) -> MemoryLoad {
    let limit = if is_allowed {
        (1_000_000, Duration::from_millis(1))
    } else {
        (1, Duration::from_secs(3_600))
    };
    MemoryLoad { keys: 1, limit, is_allowed }
}

fn limiter(load: MemoryLoad) -> BenchResult<Limiter> {
    let guard = RateGuard::builder().store(load.memory()).build()?;
    let (limit, window) = load.limit;
    let policy = Policy::new("bench", Quota::new(limit, window)?)?;
    let key = Key::from("a user of this application");
    Ok(Box::new(move |_| {
        let decision = guard.check(&policy, &key).now_or_never();
        decision.is_some_and(|it| it.is_ok_and(|it| it.is_allowed()))
    }))
}

fn main() -> BenchResult {
    let args: Vec<String> = env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--count", listener] => {
            install(listener)?;
            load(false).measure(&limiter(load(false))?, 1, CHECKS_TO_COUNT)?;
            Ok(())
        }
        ["--measure", listener] => {
            install(listener)?;
            for is_allowed in [true, false] {
                let load = load(is_allowed);
                println!("{}", load.measure(&limiter(load)?, 1, CHECKS)?);
            }
            Ok(())
        }
        _ => all(),
    }
}

fn all() -> BenchResult {
    let settings = Settings::read()?;
    println!("{}; {} rounds of {CHECKS} checks\n", cpu::machine(), settings.rounds);
    let mut rounds = LISTENERS.map(|_| [Figures::default(), Figures::default()]);
    for _ in 0..settings.rounds {
        for ((listener, _), figures) in LISTENERS.iter().zip(&mut rounds) {
            let output =
                Command::new(env::current_exe()?).args(["--measure", listener]).output()?;
            let text = String::from_utf8(output.stdout)?;
            let mut lines = text.lines();
            for figures in figures {
                let line = lines.next().ok_or_else(|| format!("{listener} was not measured"))?;
                figures.0.push(line.parse()?);
            }
        }
    }
    let row = |((_, name), [allowed, denied]): (&(&str, &str), &[Figures; 2])| {
        vec![(*name).to_owned(), allowed.show(0), denied.show(0)]
    };
    let rows: Vec<_> = LISTENERS.iter().zip(&rounds).map(row).collect();
    println!("{}", table(&["CPU ns/check", "allowed", "denied"], &rows));
    Ok(())
}
