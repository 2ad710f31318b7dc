//! Measures what a check costs on a Redis server, and says which settings follow.

mod load;
mod measurements;
mod settings;

use std::{
    env, process,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use serde_json::{Value, json};

use self::{load::Load, measurements::Measurements, settings::settings};
use crate::{
    exit::{Exit, Failure, Outcome},
    output::{Output, Style, Table, rate, seconds},
};

const EXAMPLES: &str = "\
Examples:
  rateguard bench redis://127.0.0.1:6379
  RATEGUARD_REDIS_URL=redis://:password@redis.example rateguard bench --seconds 30 --json

The command measures from this machine and with one thread, so run it where your servers run. It
writes only keys with a prefix of its own. It deletes them at the end; two of them expire after 1 s.
If the command is interrupted, all keys expire within 10 s. The load slows down other clients of the
server.";

/// Measures what a check costs on your Redis, and says which settings follow
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArguments {
    /// The URL of Redis; a URL with a password belongs in the variable [env: RATEGUARD_REDIS_URL]
    url: Option<String>,

    /// The duration of the measurement, from 2 to 300 seconds
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=300))]
    seconds: u64,
}

pub(crate) fn run(arguments: &BenchArguments, output: &Output) -> Outcome {
    let variable = || env::var("RATEGUARD_REDIS_URL").ok().filter(|url| !url.is_empty());
    let url = arguments.url.clone().or_else(variable).ok_or_else(|| {
        Failure::usage("expected the URL of Redis, found none")
            .help("add it as an argument, or set RATEGUARD_REDIS_URL")
    })?;
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let load = Load::open(&url, &format!("rateguard-bench-{}-{time:x}", process::id()))?;
    if !output.is_json() {
        output.note(&format!("measuring for about {} seconds", arguments.seconds));
    }
    let measured = load.measure(Duration::from_secs(arguments.seconds));
    load.clean_up();
    let measured = measured?;
    if output.is_json() {
        output.json(&json(&measured))?;
    } else {
        write(&measured, output)?;
    }
    Ok(Exit::Success)
}

fn json(measured: &Measurements) -> Value {
    let settings = settings(measured);
    let settings = settings
        .iter()
        .map(|it| json!({ "name": it.name, "value": it.value, "reason": it.reason }));
    json!({
        "version": 1,
        "round_trip": measured.round_trip.json(),
        "check": measured.check.json(),
        "concurrent": measured.concurrent.iter().map(|(tasks, run)| {
            let mut json = run.json();
            json["tasks"] = (*tasks).into();
            json
        }).collect::<Vec<_>>(),
        "hot_key": measured.hot_key.json(),
        "hot_key_with_lease": measured.leased_key.json(),
        "failed": measured.failed(),
        "settings": settings.collect::<Vec<_>>(),
    })
}

fn write(measured: &Measurements, output: &Output) -> Result<(), Failure> {
    output.line(Style::Plain, "Measured from this machine, with one thread:")?;
    output.line(Style::Plain, "")?;
    let mut table = Table::new(&["WHAT", "PER SECOND", "P50", "P99", "MAX"]).numbers(&[1, 2, 3, 4]);
    let single = |text: &str| text.to_owned();
    let mut rows = vec![
        (single("round trip (peek), one at a time"), &measured.round_trip),
        (single("check, one at a time"), &measured.check),
    ];
    rows.extend(
        measured.concurrent.iter().map(|(tasks, run)| (format!("check, {tasks} at a time"), run)),
    );
    rows.push((single("check of one key, 64 at a time"), &measured.hot_key));
    rows.push((single("the same with a lease of 100 units"), &measured.leased_key));
    for (text, run) in rows {
        let time = |time: Duration| seconds(time.as_secs_f64());
        table.row(
            Style::Plain,
            vec![
                text,
                rate(run.per_second()),
                time(run.percentile(0.5)),
                time(run.percentile(0.99)),
                time(run.max()),
            ],
        );
    }
    table.write(output)?;
    if measured.failed() > 0 {
        output.line(Style::Bad, format!("{} checks failed", measured.failed()))?;
    }
    output.line(Style::Plain, "")?;
    output.line(Style::Bold, "Settings that follow:")?;
    for setting in settings(measured) {
        output.line(Style::Good, format!("  {} = {}", setting.name, setting.value))?;
        output.line(Style::Plain, format!("    {}", setting.reason))?;
    }
    Ok(())
}
