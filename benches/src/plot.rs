//! Curves over a logarithmic axis, as tables in Markdown and as a picture in SVG.

use std::fmt::{self, Write};

use crate::figures::{Figures, table};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
/// The positions of the axes in a chart.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 630.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 244.0;
/// Colours of text and lines that are readable on white and on black.
pub(crate) const TEXT: &str = "#7f858c";
pub(crate) const LINES: [&str; 4] = ["#1f83e0", "#e07a10", "#2a9d62", "#d0508f"];
const FONT: &str = "ui-sans-serif, system-ui, sans-serif";

/// A chart of several curves.
pub struct Chart {
    /// The title.
    pub title: &'static str,
    /// The label of the x axis.
    pub x: &'static str,
    /// The label of the y axis, with the unit.
    pub y: &'static str,
    /// The number of decimal places in the table.
    pub digits: usize,
    /// The curves, at most four.
    pub curves: Vec<Curve>,
}

/// The figures of one subject for each value on the x axis.
pub struct Curve {
    /// The name of the subject.
    pub name: &'static str,
    /// Each x value with its figures.
    pub points: Vec<(u32, Figures)>,
}

impl Chart {
    /// The table of the chart: a row for each x value, and a column for each curve.
    #[must_use]
    pub fn table(&self) -> String {
        let head = format!("{}: {}", self.y, self.x);
        let heads: Vec<&str> =
            [&*head].into_iter().chain(self.curves.iter().map(|it| it.name)).collect();
        let row = |(number, x_value): (usize, u32)| {
            let figures = self.curves.iter().map(|it| it.points[number].1.show(self.digits));
            [with_commas(x_value)].into_iter().chain(figures).collect()
        };
        let rows: Vec<_> = self.x_values().enumerate().map(row).collect();
        table(&heads, &rows)
    }

    fn x_values(&self) -> impl Iterator<Item = u32> {
        self.curves.iter().take(1).flat_map(|it| it.points.iter().map(|(x_value, _)| *x_value))
    }

    /// Draws the medians of the rounds, and bars from the minimum to the maximum.
    fn draw(&self, to: &mut String) -> fmt::Result {
        let all = || self.curves.iter().flat_map(|it| &it.points);
        let highest = all().map(|(_, it)| it.range().1).fold(0.0, f64::max);
        let step = step(highest);
        let steps = (highest / step).ceil().max(1.0);
        let max = self.x_values().max().map_or(1.0, f64::from).log10();
        let min = self.x_values().min().map_or(0.0, f64::from).log10();
        let x = |x_value: f64| {
            LEFT + 12.0 + (x_value.log10() - min) / (max - min) * (RIGHT - LEFT - 24.0)
        };
        let y = |figure: f64| BOTTOM - figure / (step * steps) * (BOTTOM - TOP);

        writeln!(to, r#"<g font-size="15" font-weight="600">"#)?;
        label(to, (LEFT, 20.0), "start", self.title)?;
        writeln!(to, "</g>")?;
        label(to, (LEFT, 37.0), "start", self.y)?;
        for number in 0..=steps as u32 {
            let figure = (f64::from(number) * step * 1e3).round() / 1e3;
            let at = y(figure);
            writeln!(
                to,
                r#"<path d="M{LEFT} {at:.1}H{RIGHT}" stroke="{TEXT}" stroke-opacity="0.35"/>"#
            )?;
            label(to, (LEFT - 8.0, at + 4.0), "end", &figure.to_string())?;
        }
        for x_value in self.x_values() {
            let at = x(f64::from(x_value));
            writeln!(to, r#"<path d="M{at:.1} {BOTTOM}v5" stroke="{TEXT}"/>"#)?;
            label(to, (at, BOTTOM + 20.0), "middle", &with_commas(x_value))?;
        }
        label(to, (f64::midpoint(LEFT, RIGHT), BOTTOM + 40.0), "middle", self.x)?;
        for (number, (curve, colour)) in self.curves.iter().zip(LINES).enumerate() {
            let (mut line, mut marks) = (String::new(), String::new());
            for (x_value, figures) in &curve.points {
                let (at, (low, high)) = (x(f64::from(*x_value)), figures.range());
                let median = y(figures.median());
                write!(line, "{at:.1},{median:.1} ")?;
                write!(marks, r#"<path d="M{at:.1} {:.1}V{:.1}"/>"#, y(low), y(high))?;
                write!(marks, r#"<circle cx="{at:.1}" cy="{median:.1}" r="3" fill="{colour}"/>"#)?;
            }
            let legend = TOP + 10.0 + 22.0 * number as f64;
            writeln!(to, r#"<g stroke="{colour}" fill="none">"#)?;
            writeln!(to, r#"<polyline points="{}" stroke-width="2"/>{marks}"#, line.trim_end())?;
            writeln!(to, r#"<path d="M{} {legend}h24" stroke-width="3"/></g>"#, RIGHT + 16.0)?;
            label(to, (RIGHT + 48.0, legend + 4.0), "start", curve.name)?;
        }
        Ok(())
    }
}

/// The picture of all charts, one below the other.
#[must_use]
pub fn svg(charts: &[Chart]) -> String {
    let height = HEIGHT * charts.len() as f64;
    let mut text = start(WIDTH, height);
    for (number, chart) in charts.iter().enumerate() {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, r#"<g transform="translate(0 {})">"#, HEIGHT * number as f64);
        let _ = chart.draw(&mut text);
        text.push_str("</g>\n");
    }
    text + "</svg>\n"
}

/// The start tag of a picture.
pub(crate) fn start(width: f64, height: f64) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="{FONT}" font-size="12" fill="{TEXT}">
"#
    )
}

pub(crate) fn label(to: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) -> fmt::Result {
    writeln!(to, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#)
}

/// The distance of grid lines, so that there are at most five: 1, 2 or 5 times a power of ten.
fn step(highest: f64) -> f64 {
    let rough = (highest / 5.0).max(f64::MIN_POSITIVE);
    let unit = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].map(|it| it * unit).into_iter().find(|it| *it >= rough).unwrap_or(10.0 * unit)
}

fn with_commas(number: u32) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}
