//! The lines of the view of `top`.

use std::time::Duration;

use super::statistics::{DeniedKey, PolicyStatistics, Process, Statistics};
use crate::output::{Style, Table, duration, rate, seconds, thousands};

/// Returns the lines of the view, with at most `rows` rows in each table.
pub(super) fn frame(statistics: &Statistics, rows: usize) -> Vec<(Style, String)> {
    let mut lines = Vec::new();
    let count = statistics.processes.len();
    let processes = if count == 1 { "process" } else { "processes" };
    let scope = if statistics.scope == "fleet" { "" } else { ", only the process that responded" };
    lines.push((Style::Bold, format!("{count} {processes}{scope}")));
    if let Some(error) = &statistics.store_error {
        lines.push((Style::Bad, format!("the statistics of other processes are missing: {error}")));
    }
    lines.push((Style::Plain, String::new()));
    lines.extend(policies(&statistics.policies, rows));
    if !statistics.denied_keys.is_empty() {
        lines.push((Style::Plain, String::new()));
        lines.extend(denied_keys(statistics, rows));
    }
    lines.push((Style::Plain, String::new()));
    lines.extend(stores(&statistics.processes, rows));
    lines
}

/// The policies with the most denials come first, because an operator looks for them.
fn policies(policies: &[PolicyStatistics], rows: usize) -> Vec<(Style, String)> {
    let mut sorted: Vec<&PolicyStatistics> = policies.iter().collect();
    sorted.sort_by(|one, other| {
        let order = |it: &PolicyStatistics| (it.denied_per_second, it.allowed_per_second);
        order(other).partial_cmp(&order(one)).unwrap_or(std::cmp::Ordering::Equal)
    });
    let mut table = Table::new(&[
        "POLICY",
        "ALLOWED/S",
        "DENIED/S",
        "WAITING",
        "ALLOWED/H",
        "DENIED/H",
        "WOULD DENY/H",
        "UNDECIDED/H",
    ])
    .numbers(&[1, 2, 3, 4, 5, 6, 7]);
    for policy in sorted.iter().take(rows) {
        let PolicyStatistics { name, allowed_per_second, denied_per_second, waiting, totals } =
            policy;
        let style = if *denied_per_second > 0.0 { Style::Bad } else { Style::Plain };
        table.row(
            style,
            vec![
                name.clone(),
                rate(*allowed_per_second),
                rate(*denied_per_second),
                thousands(*waiting),
                thousands(totals.allowed),
                thousands(totals.denied + totals.banned + totals.rejected),
                thousands(totals.would_deny),
                thousands(totals.undecided_passed),
            ],
        );
    }
    with_omitted(table.lines(), policies.len(), rows, "policies")
}

fn denied_keys(statistics: &Statistics, rows: usize) -> Vec<(Style, String)> {
    let mut table = Table::new(&["DENIALS", "POLICY", "KEY"]).numbers(&[0]);
    for DeniedKey { policy, key_digest, key, denials } in statistics.denied_keys.iter().take(rows) {
        let key = key.clone().unwrap_or_else(|| format!("digest={key_digest}"));
        table.row(Style::Plain, vec![denials.to_string(), policy.clone(), key]);
    }
    let since = statistics
        .denied_keys_since_seconds
        .map_or_else(String::new, |since| format!(" in the last {}", seconds(since.floor())));
    let title = (Style::Bold, format!("Most denied keys{since}"));
    let lines = with_omitted(table.lines(), statistics.denied_keys.len(), rows, "keys");
    std::iter::once(title).chain(lines).collect()
}

fn stores(processes: &[Process], rows: usize) -> Vec<(Style, String)> {
    let mut table = Table::new(&[
        "PROCESS",
        "UP",
        "STORE",
        "STATE",
        "CALLS/S",
        "P50",
        "P99",
        "IN FLIGHT",
        "PERMITS",
    ])
    .numbers(&[4, 5, 6, 7, 8]);
    for process in processes.iter().take(rows) {
        let store = &process.store;
        let state = match (&store.cause_text, process.fallback.as_str()) {
            (None, _) if store.is_good => "good".to_owned(),
            (cause, "none") => cause.clone().unwrap_or_else(|| "bad".to_owned()),
            (cause, fallback) => {
                format!("{}; decides: {fallback}", cause.as_deref().unwrap_or("bad"))
            }
        };
        let time = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), seconds);
        let uptime = Duration::try_from_secs_f64(process.uptime_seconds).unwrap_or_default();
        table.row(
            if store.is_good { Style::Plain } else { Style::Bad },
            vec![
                process.label(),
                duration(Duration::from_secs(uptime.as_secs())),
                store.kind.clone(),
                state,
                store.calls_per_second.map_or_else(|| "-".to_owned(), rate),
                time(store.p50_seconds),
                time(store.p99_seconds),
                process.checks_in_flight.to_string(),
                process.permits_held.to_string(),
            ],
        );
    }
    with_omitted(table.lines(), processes.len(), rows, "processes")
}

/// Adds how many rows the table lacks.
fn with_omitted(
    mut lines: Vec<(Style, String)>,
    count: usize,
    rows: usize,
    noun: &str,
) -> Vec<(Style, String)> {
    if count > rows {
        lines.push((Style::Faint, format!("… {} more {noun}", count - rows)));
    }
    lines
}
