//! The report as one HTML page without scripts.

use std::fmt::Write;

use super::{
    charts::{distribution, timeline},
    number::{grouped, percent, time},
    suggestion::suggested_policies,
    summary::{HURT_PER_MILLE, PERCENTILES, PolicySummary, Summary},
    text::visible,
};

const KEY_CHARS: usize = 200;

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Replay of rate limits</title>
<style>
:root { color-scheme: light dark; --text: #1c1f24; --soft: #5f6773; --page: #ffffff; --line: #d5dae1; --allowed: #4a7fb5; --denied: #c8472f; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ee; --soft: #9aa4b2; --page: #14171c; --line: #343b46; --allowed: #6ea8dc; --denied: #ef7a62; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; } h3 { font-size: 1rem; margin-bottom: .3rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); } th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; } .a { fill: var(--allowed); } .d { fill: var(--denied); }
svg text { fill: var(--soft); font-size: 12px; } svg .end { text-anchor: end; } svg line { stroke: var(--line); } svg .limit { stroke: var(--text); stroke-dasharray: 4 3; }
pre { border: 1px solid var(--line); padding: .8rem; overflow-x: auto; } .key { display: inline-block; width: .8em; height: .8em; } .key.a { background: var(--allowed); } .key.d { background: var(--denied); } .soft { color: var(--soft); }
</style>
</head>
<body>
<h1>Replay of rate limits</h1>
"#;

/// Returns the page.
pub(crate) fn html(summary: &Summary) -> String {
    let mut page = HEAD.to_owned();
    write_log(&mut page, summary);
    for policy in &summary.policies {
        write_policy(&mut page, policy);
    }
    for policy in &summary.not_replayed {
        let (name, reason) = (escaped(&policy.policy), escaped(&policy.reason));
        write_line(
            &mut page,
            format_args!("<h2>{name}</h2>\n<p>This policy was not replayed: {reason}.</p>"),
        );
    }
    if let Some(policies) = suggested_policies(summary) {
        write_line(
            &mut page,
            format_args!("<h2>Suggested policies file</h2>\n<pre>{}</pre>", escaped(&policies)),
        );
    }
    page + "</body>\n</html>\n"
}

fn write_log(to: &mut String, summary: &Summary) {
    let log = &summary.log;
    write_line(
        to,
        format_args!("<p>{} requests in {} lines.", grouped(summary.requests), grouped(log.lines)),
    );
    if let Some((first, last)) = summary.times {
        write_line(to, format_args!("From {} to {}.", time(first), time(last)));
    }
    for (number, what) in [
        (log.skipped, "lines were skipped, because they are not requests."),
        (log.out_of_order, "requests are out of order."),
        (log.late, "requests count later than at their time."),
    ] {
        if number > 0 {
            write_line(to, format_args!("{} {what}", grouped(number)));
        }
    }
    for warning in &log.warnings {
        write_line(to, format_args!("{}.", escaped(warning)));
    }
    to.push_str("</p>\n");
}

fn write_policy(to: &mut String, policy: &PolicySummary) {
    let (limit, counts) = (&policy.limit, &policy.counts);
    write_line(to, format_args!("<h2>{}</h2>", escaped(policy.name())));
    let (quotas, key) =
        (escaped(&limit.policy.quotas().to_string()), escaped(&limit.key.to_string()));
    write_line(to, format_args!("<p>{quotas}, by <code>{key}</code></p>"));
    for note in &limit.notes {
        write_line(to, format_args!("<p class=\"soft\">{}.</p>", escaped(note)));
    }
    let share = |number: u64, of: u64| percent(number as f64 / of.max(1) as f64);
    let decided = counts.allowed + counts.denied;
    let rows = [
        ("Allowed requests", counts.allowed, share(counts.allowed, decided)),
        ("Denied requests", counts.denied, share(counts.denied, decided)),
        ("Keys", policy.keys, String::new()),
        ("Keys with a denial", policy.keys_denied, share(policy.keys_denied, policy.keys)),
        ("Rejected with 403", counts.forbidden, String::new()),
        ("Exempt requests", counts.exempt, String::new()),
        ("Requests of other methods and routes", counts.not_limited, String::new()),
        ("Not replayed: keys above the maximum", counts.left_out, String::new()),
    ];
    let rows =
        rows.into_iter().enumerate().filter(|(index, (_, number, _))| *index < 4 || *number > 0);
    let rows = rows.map(|(_, (name, number, share))| vec![name.to_owned(), grouped(number), share]);
    write_table(to, &["", "Number", "Share"], rows);

    to.push_str(&format!(
        "<h3>Requests over time: <span class=\"key a\"></span> allowed, <span class=\"key d\"></span> denied</h3>\n{}",
        timeline(policy)
    ));
    let hurt =
        HURT_PER_MILLE.map(|per_mille| format!("Limit for {} % of keys", per_mille as f64 / 10.0));
    let mut headers = vec!["Highest use in a window", "Denied", "Keys above"];
    headers.extend(PERCENTILES.map(|(name, _)| name));
    headers.extend(hurt.iter().map(String::as_str));
    let rows = policy.quotas.iter().map(|quota| {
        let mut row =
            vec![quota.quota.to_string(), grouped(quota.denied), grouped(quota.keys_above_limit())];
        row.extend(PERCENTILES.map(|(_, percent)| grouped(quota.peaks.percentile(percent))));
        row.extend(HURT_PER_MILLE.map(|per_mille| grouped(quota.peaks.limit_for(per_mille))));
        row
    });
    write_table(to, &headers, rows);
    for quota in &policy.quotas {
        let title = escaped(&quota.quota.to_string());
        to.push_str(&format!(
            "<h3>Keys by their highest use of {title}: <span class=\"key a\"></span> within the limit, <span class=\"key d\"></span> above it</h3>\n{}",
            distribution(quota)
        ));
    }
    if !policy.top_denied.is_empty() {
        to.push_str("<h3>Keys with most denials</h3>\n");
        let headers = ["Key", "Denied", "Requests", "First denial", "Last denial"];
        let rows = policy.top_denied.iter().map(|key| {
            let text = visible(&key.key, KEY_CHARS);
            vec![text, grouped(key.denied), grouped(key.requests), time(key.first), time(key.last)]
        });
        write_table(to, &headers, rows);
    }
}

/// Writes a table. The first column can have texts of clients, so it does not change the direction of other texts.
fn write_table(to: &mut String, headers: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    to.push_str("<div class=\"wide\"><table>\n<tr>");
    for header in headers {
        to.push_str(&format!("<th>{}</th>", escaped(header)));
    }
    to.push_str("</tr>\n");
    for row in rows {
        to.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let cell = escaped(cell);
            to.push_str(&if index == 0 {
                format!("<td><bdi>{cell}</bdi></td>")
            } else {
                format!("<td>{cell}</td>")
            });
        }
        to.push_str("</tr>\n");
    }
    to.push_str("</table></div>\n");
}

/// Replaces the characters that have a meaning in HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

fn write_line(to: &mut String, line: std::fmt::Arguments<'_>) {
    // A write to a string does not fail.
    let _ = writeln!(to, "{line}");
}
