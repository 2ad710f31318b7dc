//! The time inside Redis per check, without a client: for the script with 32 checks in a call, and a plain script.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use rateguard_benches::{
    BenchResult, MEASURED_CORE, cpu, cpu_pinning,
    figures::{column, table},
    redis_process,
    script_bench::{BATCH, Script, ScriptBench, ScriptFigures},
    settings::Settings,
};

/// The limits, and the number of keys.
const LIMITS: [(u32, usize); 3] = [(10, 3_200), (100, 640), (1_000, 64)];
/// The other algorithms, which are measured with a limit of 100.
const OTHERS: [&str; 3] = ["sliding_window_counter", "fixed_window", "token_bucket"];
/// The number of calls with one key.
const CALLS: usize = 1_000;

/// One row of the table: a script with an algorithm and a limit.
struct Row {
    script: Script,
    algorithm: &'static str,
    limit: u32,
    keys: usize,
    rounds: Vec<ScriptFigures>,
}

fn main() -> BenchResult {
    let settings = Settings::read()?;
    let pinned = cpu_pinning::pin_this_process(MEASURED_CORE);
    println!("{}; {}", cpu::machine(), cpu::version(&redis_process::program()));
    println!("client and Redis: {pinned}; {} rounds\n", settings.rounds);

    let baseline = settings.baseline.as_deref().map(Script::baseline).transpose()?;
    let scripts: Vec<_> = [Script::rate_guard()].into_iter().chain(baseline).collect();
    let row = |script: &Script, algorithm, (limit, keys)| Row {
        script: script.clone(),
        algorithm,
        limit,
        keys,
        rounds: Vec::new(),
    };
    let mut rows = Vec::new();
    for limit in LIMITS {
        rows.push(row(&Script::plain(), "sliding_window", limit));
        rows.extend(scripts.iter().map(|script| row(script, "sliding_window", limit)));
    }
    for algorithm in OTHERS {
        rows.extend(scripts.iter().map(|script| row(script, algorithm, LIMITS[1])));
    }
    let mut one_key: Vec<_> = scripts.iter().map(|_| Vec::new()).collect();
    for _ in 0..settings.rounds {
        for Row { script, algorithm, limit, keys, rounds } in &mut rows {
            let measured = ScriptBench::start(script, algorithm, *limit)?.measure(*keys);
            rounds.push(
                measured.map_err(|error| format!("{}, limit {limit}: {error}", script.name))?,
            );
        }
        for (script, times) in scripts.iter().zip(&mut one_key) {
            times
                .push(ScriptBench::start(script, "sliding_window", 1_000)?.measure_one_key(CALLS)?);
        }
    }
    println!("{}", table(&HEADS, &rows.iter().map(|row| cells(row, &rows)).collect::<Vec<_>>()));
    let heads = ["32 requests of one key, limit 1,000", "µs in Redis"];
    let times = scripts.iter().zip(&one_key);
    let times: Vec<_> = times
        .map(|(script, times)| vec![script.name.clone(), column(times, |it| *it).show(2)])
        .collect();
    println!("{}", table(&heads, &times));
    println!("A call has {BATCH} checks, except for the plain script.");
    Ok(())
}

const HEADS: [&str; 9] = [
    "script",
    "algorithm",
    "limit",
    "allowed, µs in Redis",
    "/ plain",
    "denied, µs in Redis",
    "/ plain",
    "bytes per key",
    "bytes per entry",
];

fn cells(row: &Row, rows: &[Row]) -> Vec<String> {
    // The rows of each limit begin with the plain script.
    let plain = rows.iter().find(|it| it.limit == row.limit).unwrap_or(row);
    let time = |of: fn(&ScriptFigures) -> f64| {
        let figures = column(&row.rounds, of);
        [figures.show(2), figures.over(&column(&plain.rounds, of)).show(2)]
    };
    let [allowed, allowed_over] = time(|it| it.allowed_us);
    let [denied, denied_over] = time(|it| it.denied_us);
    let bytes = column(&row.rounds, |it| it.key_bytes).median();
    let is_log = row.algorithm == "sliding_window";
    let entry = if is_log { format!("{:.1}", bytes / f64::from(row.limit)) } else { String::new() };
    let algorithm = if row.script.name == plain.script.name { "sorted set" } else { row.algorithm };
    vec![
        row.script.name.clone(),
        algorithm.to_owned(),
        row.limit.to_string(),
        allowed,
        allowed_over,
        denied,
        denied_over,
        format!("{bytes:.0}"),
        entry,
    ]
}
