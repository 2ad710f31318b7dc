//! Figures of several rounds, and tables in Markdown.

use std::fmt::Write;

/// A figure with one value per round.
#[derive(Clone, Debug, Default)]
pub struct Figures(pub Vec<f64>);

impl Figures {
    /// The median.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The ratio to another figure in each round.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect())
    }

    /// The minimum and the maximum.
    #[must_use]
    pub fn range(&self) -> (f64, f64) {
        let widest = (f64::INFINITY, 0.0_f64);
        self.0.iter().fold(widest, |(low, high), it| (low.min(*it), high.max(*it)))
    }

    /// The median, and the minimum and maximum in parentheses.
    #[must_use]
    pub fn show(&self, digits: usize) -> String {
        let (low, high) = self.range();
        format!("{:.digits$} ({low:.digits$}–{high:.digits$})", self.median())
    }
}

/// The figure of a column.
#[must_use]
pub fn column<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> Figures {
    Figures(rounds.iter().map(figure).collect())
}

/// A quantile of sorted values. `part` is from 0 to 1.
#[must_use]
pub fn quantile(sorted: &[u32], part: f64) -> f64 {
    let index = (sorted.len() as f64 * part) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |it| f64::from(*it))
}

/// A table in Markdown.
#[must_use]
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for row in rows {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}
