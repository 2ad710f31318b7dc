//! The report for a terminal.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use super::{
    number::{grouped, percent, slot_length, time},
    suggestion::suggested_policies,
    summary::{HURT_PER_MILLE, PERCENTILES, PolicySummary, Summary},
    text::visible,
};

/// The maximum number of characters of a key.
const KEY_CHARS: usize = 60;

/// The maximum number of columns of the timeline.
const TIMELINE_COLUMNS: usize = 72;

/// Returns the report.
pub(crate) fn table(summary: &Summary) -> String {
    let mut report = String::new();
    write_log(&mut report, summary);
    for policy in &summary.policies {
        write_policy(&mut report, policy);
    }
    for policy in &summary.not_replayed {
        write_line(
            &mut report,
            format_args!("\nPolicy `{}` was not replayed: {}.", policy.policy, policy.reason),
        );
    }
    if let Some(policies) = suggested_policies(summary) {
        write_line(&mut report, format_args!("\n{policies}"));
    }
    report
}

fn write_line(to: &mut String, line: std::fmt::Arguments<'_>) {
    // A write to a string does not fail.
    let _ = writeln!(to, "{line}");
}

fn write_log(to: &mut String, summary: &Summary) {
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
    for warning in &log.warnings {
        write_line(to, format_args!("Warning: {warning}."));
    }
    if summary.policies.len() > 1 {
        write_line(
            to,
            format_args!("At least one policy denies {} requests.", grouped(summary.denied)),
        );
    }
}

fn write_policy(to: &mut String, policy: &PolicySummary) {
    let (limit, counts) = (&policy.limit, &policy.counts);
    let route = limit.route.as_ref().map_or_else(String::new, |it| format!(", route `{it}`"));
    write_line(
        to,
        format_args!(
            "\nPolicy `{}`: {} by `{}`{route}",
            policy.name(),
            limit.policy.quotas(),
            limit.key
        ),
    );
    for note in &limit.notes {
        write_line(to, format_args!("  Note: {note}."));
    }
    let mut rows = new_table(&["", "Number", "Share"]);
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
            rows.add_row([name.to_owned(), grouped(number), percent(number as f64 / of)]);
        }
    }
    for (name, number) in [
        ("Rejected by the access list or without a key (403)", counts.forbidden),
        ("Exempt requests", counts.exempt),
        ("Requests of other methods and routes", counts.not_limited),
        ("Not replayed: keys above `--max-keys`", counts.left_out),
    ] {
        if number > 0 {
            rows.add_row([name.to_owned(), grouped(number), String::new()]);
        }
    }
    write_table(to, &rows);
    write_use(to, policy);
    write_denied_keys(to, policy);
    write_timeline(to, policy);
}

fn write_use(to: &mut String, policy: &PolicySummary) {
    let hurt = HURT_PER_MILLE.map(|per_mille| format!("Limit for {} %", per_mille as f64 / 10.0));
    let names = PERCENTILES.map(|(name, _)| name);
    let mut headers = vec!["Quota", "Denied", "Keys above"];
    headers.extend(names);
    headers.extend(hurt.iter().map(String::as_str));
    let mut rows = new_table(&headers);
    let mut upper_bounds = 0;
    for quota in &policy.quotas {
        upper_bounds += quota.peaks.upper_bounds;
        let mut row =
            vec![quota.quota.to_string(), grouped(quota.denied), grouped(quota.keys_above_limit())];
        row.extend(PERCENTILES.map(|(_, percent)| grouped(quota.peaks.percentile(percent))));
        row.extend(HURT_PER_MILLE.map(|per_mille| grouped(quota.peaks.limit_for(per_mille))));
        rows.add_row(row);
    }
    write_line(
        to,
        format_args!(
            "\nHighest use of a key in a window, and the lowest limit that this share of keys exceeds:"
        ),
    );
    write_table(to, &rows);
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

fn write_denied_keys(to: &mut String, policy: &PolicySummary) {
    if policy.top_denied.is_empty() {
        return;
    }
    let mut rows = new_table(&["Key", "Denied", "Requests", "First denial", "Last denial"]);
    for key in &policy.top_denied {
        let row = [
            visible(&key.key, KEY_CHARS),
            grouped(key.denied),
            grouped(key.requests),
            time(key.first),
            time(key.last),
        ];
        rows.add_row(row);
    }
    write_line(to, format_args!("\nKeys with most denials:"));
    write_table(to, &rows);
}

/// Writes a line in which the height of each column is the number of denials.
fn write_timeline(to: &mut String, policy: &PolicySummary) {
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
    let each = slot_length(length);
    write_line(
        to,
        format_args!(
            "\nDenied requests from {} on, {each} for each column, at most {}:",
            time(first * 1_000_000),
            grouped(max)
        ),
    );
    write_line(to, format_args!("  {bars}"));
}

fn new_table(headers: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(headers);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn write_table(to: &mut String, table: &Table) {
    for line in table.lines() {
        write_line(to, format_args!("{line}"));
    }
}
