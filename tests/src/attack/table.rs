//! Formats the table of attacks. The program prints each row when its measurement has ended.

use std::time::Duration;

use super::measure::Measurement;

/// The titles and widths of the columns. The text in the first column is aligned to the left.
const COLUMNS: [(&str, usize); 21] = [
    ("limit", 38),
    ("conns", 5),
    ("delay", 5),
    ("store", 7),
    ("mode", 6),
    ("servers", 7),
    ("maximum", 7),
    ("passed", 7),
    ("unchecked", 9),
    ("local", 7),
    ("denied", 7),
    ("503", 6),
    ("req/s", 6),
    ("v.sent", 6),
    ("v.rejected", 10),
    ("v.unchecked", 11),
    ("v.p50", 7),
    ("v.p99", 7),
    ("p99 ratio", 9),
    ("others", 6),
    ("", 4),
];

/// Returns the header of the table.
#[must_use]
pub fn header() -> String {
    line(&COLUMNS.map(|(title, _)| title.to_owned()))
}

/// Formats the results of a measured row as one line.
#[must_use]
pub fn row(measurement: &Measurement, is_failed: bool) -> String {
    let Measurement { row, tally, failures, attacked, .. } = measurement;
    let maximum = row.limit.maximum(tally.lasted);
    let maximum = maximum.map_or_else(|| "all".to_owned(), |maximum| maximum.to_string());
    let seconds = tally.lasted.as_secs_f64().max(0.001);
    let victims = attacked.micros.len() as u64 + attacked.lost;
    line(&[
        row.limit.label(),
        row.connections.to_string(),
        format!("{} ms", row.delay_ms),
        row.store.to_string(),
        row.mode.to_owned(),
        row.servers.to_string(),
        maximum,
        tally.passed.to_string(),
        measurement.unchecked().to_string(),
        failures.local.to_string(),
        tally.denied.to_string(),
        tally.unavailable.to_string(),
        format!("{:.0}", tally.responses() as f64 / seconds),
        victims.to_string(),
        (attacked.rejected + attacked.lost).to_string(),
        attacked.unchecked.to_string(),
        millis(attacked.percentile(50)),
        millis(attacked.percentile(99)),
        format!("{:.1}", measurement.latency_ratio()),
        format!("{:.0} %", 100.0 * measurement.foreign_load),
        if is_failed { "FAIL" } else { "ok" }.to_owned(),
    ])
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

fn line(cells: &[String; COLUMNS.len()]) -> String {
    let mut line = String::new();
    for (index, (cell, (_, width))) in cells.iter().zip(COLUMNS).enumerate() {
        let cell = match index {
            0 => format!("{cell:<width$}"),
            _ => format!("  {cell:>width$}"),
        };
        line += &cell;
    }
    line
}
