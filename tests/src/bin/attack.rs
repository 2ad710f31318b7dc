//! Attacks servers and checks whether their limits still hold: `attack [--small] [--only WORD]… [--seconds N]
//! [--pause MS] [--deadline MS] [--judge-latency] [--list]`. A comment in `scripts/attack` describes the
//! measurements.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::{env, process::ExitCode};

use rateguard_tests::attack::{
    AttackResult, Report, full_memory, full_redis, header_flood, measure, options::Options,
    process, refund_cost, row, table,
};

/// An attack that has a separate table: the name of the attack, whether its measurement is quick, and the function
/// that measures it.
type Special = (&'static str, bool, fn() -> AttackResult<Report>);

const SPECIALS: [Special; 4] = [
    (header_flood::NAME, true, header_flood::measure),
    (refund_cost::NAME, false, refund_cost::measure),
    (full_redis::NAME, false, full_redis::measure),
    (full_memory::NAME, false, full_memory::measure),
];
/// The number of files that this process must be able to open: 3,000 connections and some other files.
const FILES: u64 = 4_096;
/// The maximum share of the CPU that other processes may use. With a higher share, violations may have another cause
/// than the attack.
const MAX_FOREIGN_LOAD: f64 = 0.1;

fn main() -> AttackResult<ExitCode> {
    let options = Options::read(env::args().skip(1))?;
    let rows = if options.is_small { row::few() } else { row::all() };
    let rows: Vec<_> = rows.into_iter().filter(|row| options.has(&row.to_string())).collect();
    let is_wanted = |(name, is_quick, _): &&Special| {
        (*is_quick || !options.is_small || !options.only.is_empty()) && options.has(name)
    };
    let specials: Vec<_> = SPECIALS.iter().filter(is_wanted).collect();
    if options.is_list {
        rows.iter().for_each(|row| println!("{row}"));
        specials.iter().for_each(|(name, ..)| println!("{name}"));
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() && specials.is_empty() {
        return Err("no attack matches these words; --list prints the names".into());
    }
    println!("{}", process::machine());
    if let Some(files) = process::max_files().filter(|files| *files < FILES) {
        println!(
            "only {files} files may be open, so attacks with more connections end with an error"
        );
    }
    if let Some(deadline) = options.deadline {
        println!("checks in the table have a deadline of {deadline:?} instead of the default");
    }
    let mut violations = Vec::new();
    let mut is_disturbed = false;
    if !rows.is_empty() {
        println!("\n{}", table::header());
    }
    for row in &rows {
        let measurement = measure::measure(*row, &options).map_err(|e| format!("{row}: {e}"))?;
        is_disturbed |= measurement.foreign_load > MAX_FOREIGN_LOAD;
        let found = measurement.violations(options.is_latency_judged);
        println!("{}", table::row(&measurement, !found.is_empty()));
        violations.extend(found);
    }
    for (name, _, measure) in &specials {
        println!("\n{name}");
        let report = measure().map_err(|error| format!("{name}: {error}"))?;
        report.lines.iter().for_each(|line| println!("  {line}"));
        violations.extend(report.violations);
    }
    if is_disturbed {
        println!(
            "\nother processes used much of the CPU, so checks may exceed their deadline for that reason"
        );
    }
    let count = rows.len() + specials.len();
    if violations.is_empty() {
        println!("\nall limits were enforced under {count} attacks");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("\n{} violations under {count} attacks:", violations.len());
    violations.iter().for_each(|violation| eprintln!("  {violation}"));
    Ok(ExitCode::FAILURE)
}
