//! The report for a terminal.

use super::{
    number::{grouped, percent, slot_length, time},
    suggestion::suggested_policies,
    summary::{HURT_PER_MILLE, PERCENTILES, PolicySummary, Summary},
    text::visible,
};
use crate::{
    output::{Style, Table},
    replay::limit::NotReplayed,
};

/// The maximum number of characters of a key.
const KEY_CHARS: usize = 60;

/// The header of the table of uses: the percentiles, and the shares of keys that exceed a limit.
const USE_HEADER: &[&str] = &[
    "QUOTA",
    "DENIED",
    "KEYS ABOVE",
    "P50",
    "P90",
    "P99",
    "MAX",
    "LIMIT FOR 0 %",
    "FOR 0.1 %",
    "FOR 1 %",
];

/// The maximum number of columns of the timeline.
const TIMELINE_COLUMNS: usize = 72;

/// The lines of the report, each with its style.
type Lines = Vec<(Style, String)>;

/// Returns the report.
pub(crate) fn table(summary: &Summary) -> Lines {
    let mut report = Vec::new();
    write_log(&mut report, summary);
    if summary.requests == 0 {
        return report;
    }
    for policy in &summary.policies {
        write_policy(&mut report, policy);
    }
    for policy in &summary.not_replayed {
        let NotReplayed { policy, reason } = policy;
        write_heading(&mut report, format_args!("Policy `{policy}` was not replayed: {reason}."));
    }
    if let Some(policies) = suggested_policies(summary) {
        write_heading(&mut report, format_args!("A policies file for this log:"));
        report.extend(policies.lines().map(|line| (Style::Plain, line.to_owned())));
    }
    report
}

fn write_line(to: &mut Lines, line: std::fmt::Arguments<'_>) {
    to.push((Style::Plain, line.to_string()));
}

/// Writes an empty line and a heading.
fn write_heading(to: &mut Lines, line: std::fmt::Arguments<'_>) {
    to.extend([(Style::Plain, String::new()), (Style::Bold, line.to_string())]);
}

fn write_log(to: &mut Lines, summary: &Summary) {
    let log = &summary.log;
    write_line(
        to,
        format_args!(
            "{} requests in {} lines ({}), {} lines/s.",
            grouped(summary.requests),
            grouped(log.lines),
            log.formats.join(", "),
            grouped(log.lines_per_second as u64),
        ),
    );
    if let Some((first, last)) = summary.times {
        write_line(to, format_args!("From {} to {}.", time(first), time(last)));
    }
    if log.out_of_order > 0 {
        let late = match log.late {
            0 => String::new(),
            late => format!(
                "; {} of them count later than at their time, see `--reorder`",
                grouped(late)
            ),
        };
        write_line(
            to,
            format_args!("{} requests are out of order{late}.", grouped(log.out_of_order)),
        );
    }
    if log.counts_at_start {
        write_line(
            to,
            format_args!(
                "Requests count at their start, because a policy limits the requests in progress."
            ),
        );
    }
    if log.skipped > 0 {
        write_line(to, format_args!("Skipped {} lines. The first of them:", grouped(log.skipped)));
    }
    for line in &log.skipped_lines {
        write_line(
            to,
            format_args!("  {}:{}: {}, found `{}`", line.file, line.number, line.reason, line.text),
        );
    }
    if summary.policies.len() > 1 {
        write_line(
            to,
            format_args!("At least one policy denies {} requests.", grouped(summary.denied)),
        );
    }
}

fn write_policy(to: &mut Lines, policy: &PolicySummary) {
    let (limit, counts) = (&policy.limit, &policy.counts);
    let route = limit.route.as_ref().map_or_else(String::new, |it| format!(", route `{it}`"));
    let (name, quotas, key) = (policy.name(), limit.policy.quotas(), &limit.key);
    write_heading(to, format_args!("Policy `{name}`: {quotas} by `{key}`{route}"));
    for note in &limit.notes {
        write_line(to, format_args!("  Note: {note}."));
    }
    let mut rows = Table::new(&["", "NUMBER", "SHARE"]).numbers(&[1, 2]);
    let decided = (counts.allowed + counts.denied).max(1) as f64;
    let keys = policy.keys.max(1) as f64;
    for (name, number, of) in [
        ("Allowed requests", counts.allowed, decided),
        ("Denied requests", counts.denied, decided),
        ("  while banned", counts.banned, decided),
        ("Keys", policy.keys, keys),
        ("Keys with a denial", policy.keys_denied, keys),
    ] {
        if number > 0 || !name.starts_with(' ') {
            rows.row(
                Style::Plain,
                vec![name.to_owned(), grouped(number), percent(number as f64 / of)],
            );
        }
    }
    for (name, number) in [
        ("Rejected by the access list or without a key (403)", counts.forbidden),
        ("Exempt requests", counts.exempt),
        ("Requests of other methods and routes", counts.not_limited),
        ("Not replayed: keys above `--max-keys`", counts.left_out),
    ] {
        if number > 0 {
            rows.row(Style::Plain, vec![name.to_owned(), grouped(number), String::new()]);
        }
    }
    to.extend(rows.lines());
    write_use(to, policy);
    write_denied_keys(to, policy);
    write_timeline(to, policy);
}

fn write_use(to: &mut Lines, policy: &PolicySummary) {
    let mut rows = Table::new(USE_HEADER).numbers(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let mut upper_bounds = 0;
    for quota in &policy.quotas {
        upper_bounds += quota.peaks.upper_bounds;
        let mut row =
            vec![quota.quota.to_string(), grouped(quota.denied), grouped(quota.keys_above_limit())];
        row.extend(PERCENTILES.map(|(_, percent)| grouped(quota.peaks.percentile(percent))));
        row.extend(HURT_PER_MILLE.map(|per_mille| grouped(quota.peaks.limit_for(per_mille))));
        rows.row(Style::Plain, row);
    }
    write_heading(
        to,
        format_args!(
            "Highest use of a key in a window, and the lowest limit that at most this share of keys exceeds"
        ),
    );
    to.extend(rows.lines());
    if upper_bounds > 0 {
        write_line(
            to,
            format_args!(
                "  For {} keys with many requests in a window, the use is an upper bound.",
                grouped(upper_bounds)
            ),
        );
    }
}

fn write_denied_keys(to: &mut Lines, policy: &PolicySummary) {
    if policy.top_denied.is_empty() {
        return;
    }
    let header = ["KEY", "DENIED", "REQUESTS", "FIRST DENIAL", "LAST DENIAL"];
    let mut rows = Table::new(&header).numbers(&[1, 2]);
    for key in &policy.top_denied {
        let row = vec![
            visible(&key.key, KEY_CHARS),
            grouped(key.denied),
            grouped(key.requests),
            time(key.first),
            time(key.last),
        ];
        rows.row(Style::Plain, row);
    }
    write_heading(to, format_args!("Keys with most denials"));
    to.extend(rows.lines());
}

/// Writes a line in which the height of each column is the number of denials.
fn write_timeline(to: &mut Lines, policy: &PolicySummary) {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (seconds, slots) = &policy.timeline;
    let (Some((first, _)), Some((last, _))) = (slots.first_key_value(), slots.last_key_value())
    else {
        return;
    };
    if policy.counts.denied == 0 {
        return;
    }
    let slots_per_column = ((last - first) / seconds + 1).div_ceil(TIMELINE_COLUMNS as u64);
    let length = seconds * slots_per_column;
    let mut columns = vec![0_u64; ((last - first) / length + 1) as usize];
    for (start, slot) in slots {
        if let Some(column) = columns.get_mut(((start - first) / length) as usize) {
            *column += slot.denied;
        }
    }
    let max = columns.iter().copied().max().unwrap_or(0).max(1);
    let bar = |denied: &u64| BARS[(denied * 8).div_ceil(max) as usize];
    let bars: String = columns.iter().map(bar).collect();
    let (each, start, max) = (slot_length(length), time(first * 1_000_000), grouped(max));
    write_heading(
        to,
        format_args!("Denied requests from {start} on, {each} for each column, at most {max}"),
    );
    write_line(to, format_args!("  {bars}"));
}
