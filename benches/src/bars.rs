//! A horizontal bar chart in SVG.

use std::fmt::{self, Write};

use crate::{figures::Figures, plot};

const WIDTH: f64 = 860.0;
const LABEL_END: f64 = 330.0;
const BAR_START: f64 = 340.0;
const BAR_END: f64 = 780.0;
const TOP: f64 = 50.0;
const ROW_HEIGHT: f64 = 22.0;

/// A bar of the chart.
pub struct Bar {
    /// The label.
    pub label: String,
    /// The value of each round. The bar shows the median, and a line shows the minimum and the maximum.
    pub figures: Figures,
    /// Whether the bar is highlighted.
    pub is_highlighted: bool,
}

/// Draws a bar chart. `unit` describes the values.
#[must_use]
pub fn svg(title: &str, unit: &str, bars: &[Bar]) -> String {
    let height = TOP + ROW_HEIGHT * bars.len() as f64 + 10.0;
    let mut text = plot::start(WIDTH, height);
    // Writing to a `String` cannot fail.
    let _ = draw(&mut text, title, unit, bars);
    text + "</svg>\n"
}

fn draw(to: &mut String, title: &str, unit: &str, bars: &[Bar]) -> fmt::Result {
    writeln!(to, r#"<g font-size="15" font-weight="600">"#)?;
    plot::label(to, (10.0, 20.0), "start", title)?;
    writeln!(to, "</g>")?;
    plot::label(to, (10.0, 38.0), "start", unit)?;
    let max = bars.iter().map(|it| it.figures.range().1).fold(f64::MIN_POSITIVE, f64::max);
    let x = |figure: f64| BAR_START + figure / max * (BAR_END - BAR_START);
    for (number, bar) in bars.iter().enumerate() {
        let middle = TOP + ROW_HEIGHT * (number as f64 + 0.5);
        let (median, (low, high)) = (bar.figures.median(), bar.figures.range());
        let colour = plot::LINES[if bar.is_highlighted { 0 } else { 1 }];
        plot::label(to, (LABEL_END, middle + 4.0), "end", &bar.label)?;
        let (y, width, bar_height) = (middle - 7.0, x(median) - BAR_START, 14.0);
        writeln!(
            to,
            r#"<rect x="{BAR_START}" y="{y:.1}" width="{width:.1}" height="{bar_height}" fill="{colour}"/>"#
        )?;
        let text = plot::TEXT;
        writeln!(
            to,
            r#"<path d="M{:.1} {middle:.1}H{:.1}" stroke="{text}" stroke-width="2"/>"#,
            x(low),
            x(high)
        )?;
        plot::label(to, (x(high) + 8.0, middle + 4.0), "start", &format!("{median:.1}"))?;
    }
    Ok(())
}
