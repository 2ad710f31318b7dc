//! What it costs that checks are seen: nanoseconds of CPU time for each check in memory. It is built twice, without the
//! feature `seeing`, when nothing of it is there, and with it.
//!
//! With `--count WHO` it does nothing but 100,000 checks, for a tool that counts instructions.

#![allow(clippy::print_stdout, reason = "this is a command")]

use std::{env, process::Command, time::Duration};

use futures_util::FutureExt;
use rateguard::{Key, Policy, Quota, RateGuard};
use rateguard_benches::{
    Outcome, cpu,
    figures::{Figures, table},
    in_memory::{Limiter, Load},
    settings::Settings,
};

const CHECKS: u32 = 1_000_000;
const COUNTED: u32 = 100_000;

/// Who listens. There is one recorder and one subscriber for a process, so each is measured in a process of its own.
#[cfg(not(feature = "seeing"))]
const WHO: [(&str, &str); 1] = [("nobody", "without the features")];
#[cfg(feature = "seeing")]
const WHO: [(&str, &str); 4] = [
    ("nobody", "with both features, and nobody who listens"),
    ("recorder", "a Prometheus recorder"),
    ("refusing", "a subscriber that is asked for each span and drops it"),
    ("taking", "a subscriber that takes each span and keeps nothing"),
];

fn listen(who: &str) -> Outcome {
    #[cfg(feature = "seeing")]
    {
        use rateguard_benches::seen::{Taking, record, subscribe};
        match who {
            "recorder" => return record(),
            "refusing" => return subscribe(Taking::None),
            "taking" => return subscribe(Taking::All),
            _ => {}
        }
    }
    if who == "nobody" { Ok(()) } else { Err(format!("nobody is called {who}").into()) }
}

/// One key, so that little else is to be seen.
fn load(is_allowed: bool) -> Load {
    let limit = if is_allowed {
        (1_000_000, Duration::from_millis(1))
    } else {
        (1, Duration::from_secs(3_600))
    };
    Load { keys: 1, limit, is_allowed }
}

fn limiter(load: Load) -> Outcome<Limiter> {
    let guard = RateGuard::builder().store(load.memory()).build()?;
    let (limit, window) = load.limit;
    let policy = Policy::new("bench", Quota::new(limit, window)?)?;
    let key = Key::from("a user of this application");
    Ok(Box::new(move |_| {
        let decision = guard.check(&policy, &key).now_or_never();
        decision.is_some_and(|it| it.is_ok_and(|it| it.is_allowed()))
    }))
}

fn main() -> Outcome {
    let args: Vec<String> = env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--count", who] => {
            listen(who)?;
            load(false).measure(&limiter(load(false))?, 1, COUNTED)?;
            Ok(())
        }
        ["--measure", who] => {
            listen(who)?;
            for is_allowed in [true, false] {
                let load = load(is_allowed);
                println!("{}", load.measure(&limiter(load)?, 1, CHECKS)?);
            }
            Ok(())
        }
        _ => all(),
    }
}

fn all() -> Outcome {
    let settings = Settings::read()?;
    println!("{}; {} rounds of {CHECKS} checks\n", cpu::machine(), settings.rounds);
    let mut rounds = WHO.map(|_| [Figures::default(), Figures::default()]);
    for _ in 0..settings.rounds {
        for ((who, _), figures) in WHO.iter().zip(&mut rounds) {
            let output = Command::new(env::current_exe()?).args(["--measure", who]).output()?;
            let text = String::from_utf8(output.stdout)?;
            let mut lines = text.lines();
            for figures in figures {
                let line = lines.next().ok_or_else(|| format!("{who} was not measured"))?;
                figures.0.push(line.parse()?);
            }
        }
    }
    let row = |((_, name), [allowed, denied]): (&(&str, &str), &[Figures; 2])| {
        vec![(*name).to_owned(), allowed.show(0), denied.show(0)]
    };
    let rows: Vec<_> = WHO.iter().zip(&rounds).map(row).collect();
    println!("{}", table(&["CPU ns/check", "allowed", "denied"], &rows));
    Ok(())
}
