//! Draws charts as inline SVG.

use std::fmt::Write;

use super::{
    number::{grouped, slot_length, time},
    summary::{PolicySummary, QuotaSummary},
};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 140.0;
/// The space for labels below and above the bars.
const LABELS: f64 = 20.0;

/// One bar of a chart.
struct Bar {
    /// The position and the width as shares of the width of the chart.
    x: f64,
    width: f64,
    /// The two stacked values: allowed and denied requests, or keys within and above the limit.
    values: [u64; 2],
    title: String,
}

/// Draws the allowed and denied requests over time.
pub(super) fn timeline(policy: &PolicySummary) -> String {
    let (seconds, slots) = &policy.timeline;
    let (Some((first, _)), Some((last, _))) = (slots.first_key_value(), slots.last_key_value())
    else {
        return String::new();
    };
    let count = ((last - first) / seconds + 1) as f64;
    let bars: Vec<Bar> = slots
        .iter()
        .map(|(start, slot)| Bar {
            x: ((start - first) / seconds) as f64 / count,
            width: 1.0 / count,
            values: [slot.allowed, slot.denied],
            title: format!(
                "{}: {} allowed, {} denied",
                time(start * 1_000_000),
                grouped(slot.allowed),
                grouped(slot.denied)
            ),
        })
        .collect();
    let labels = [time(first * 1_000_000), time((last + seconds) * 1_000_000)];
    let title = format!("Requests in each {}: allowed and denied", slot_length(*seconds));
    chart(&title, &bars, &labels, None)
}

/// Draws how many keys have which highest use, in groups that double.
pub(super) fn distribution(summary: &QuotaSummary) -> String {
    let peaks = summary.peaks.sorted();
    let Some(max) = peaks.last().filter(|max| **max > 0) else { return String::new() };
    let limit = u64::from(summary.quota.limit());
    let groups = max.ilog2().max(limit.max(1).ilog2()) as usize + 1;
    let below = |limit: u64| peaks.partition_point(|value| *value < limit) as u64;
    let bars: Vec<Bar> = (0..groups)
        .map(|group| {
            let (low, high) = (1_u64 << group, 1_u64 << (group + 1));
            let (start, end) = (below(low), below(high));
            let within = below((limit + 1).clamp(low, high)) - start;
            Bar {
                x: group as f64 / groups as f64,
                width: 1.0 / groups as f64,
                values: [within, end - start - within],
                title: format!(
                    "{} keys use {} to {}",
                    grouped(end - start),
                    grouped(low),
                    grouped(high - 1)
                ),
            }
        })
        .collect();
    let line = ((limit as f64).max(1.0).log2() / groups as f64).min(1.0);
    let title = format!("Keys by their highest use in a window of {}", summary.quota);
    chart(&title, &bars, &["1".to_owned(), grouped((1_u64 << groups) - 1)], Some((line, limit)))
}

/// Draws bars, labels at both ends of the axis, and a line for the limit.
fn chart(title: &str, bars: &[Bar], labels: &[String; 2], limit: Option<(f64, u64)>) -> String {
    let max = bars.iter().map(|bar| bar.values.iter().sum::<u64>()).max().unwrap_or(0).max(1);
    let height = HEIGHT - 2.0 * LABELS;
    let bottom = HEIGHT - LABELS;
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n");
    for Bar { x, width, values, title } in bars {
        let (x, width) = (x * WIDTH, (width * WIDTH - 0.5).max(0.5));
        let mut y = bottom;
        write(&mut svg, format_args!("<g><title>{title}</title>"));
        for (value, class) in values.iter().zip(["a", "d"]) {
            // A value that is not 0 stays visible.
            let bar =
                if *value == 0 { 0.0 } else { (*value as f64 / max as f64 * height).max(1.0) };
            y -= bar;
            if bar > 0.0 {
                write(
                    &mut svg,
                    format_args!(
                        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{bar:.1}\"/>"
                    ),
                );
            }
        }
        write(&mut svg, format_args!("</g>\n"));
    }
    write(
        &mut svg,
        format_args!("<line x1=\"0\" y1=\"{bottom}\" x2=\"{WIDTH}\" y2=\"{bottom}\"/>\n"),
    );
    let [first, last] = labels;
    write(&mut svg, format_args!("<text x=\"0\" y=\"{}\">{first}</text>\n", HEIGHT - 5.0));
    write(
        &mut svg,
        format_args!("<text class=\"end\" x=\"{WIDTH}\" y=\"{}\">{last}</text>\n", HEIGHT - 5.0),
    );
    write(&mut svg, format_args!("<text x=\"0\" y=\"12\">at most {}</text>\n", grouped(max)));
    if let Some((x, limit)) = limit {
        let x = x * WIDTH;
        let class = if x > WIDTH * 0.8 { "end" } else { "start" };
        write(
            &mut svg,
            format_args!(
                "<line class=\"limit\" x1=\"{x:.1}\" y1=\"{LABELS}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\n"
            ),
        );
        write(
            &mut svg,
            format_args!(
                "<text class=\"{class}\" x=\"{x:.1}\" y=\"{}\">limit {}</text>\n",
                LABELS - 4.0,
                grouped(limit)
            ),
        );
    }
    svg + "</svg>\n"
}

fn write(to: &mut String, text: std::fmt::Arguments<'_>) {
    // A write to a string does not fail.
    let _ = to.write_fmt(text);
}
