//! What was measured in several rounds, and tables of it.

use std::fmt::Write;

/// One figure for each round.
#[derive(Clone, Debug, Default)]
pub struct Figures(pub Vec<f64>);

impl Figures {
    /// The one in the middle.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Each as a part of the other's of the same round.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect())
    }

    /// The least and the greatest.
    #[must_use]
    pub fn range(&self) -> (f64, f64) {
        let widest = (f64::INFINITY, 0.0_f64);
        self.0.iter().fold(widest, |(low, high), it| (low.min(*it), high.max(*it)))
    }

    /// The median, the least and the greatest.
    #[must_use]
    pub fn show(&self, digits: usize) -> String {
        let (low, high) = self.range();
        format!("{:.digits$} ({low:.digits$}–{high:.digits$})", self.median())
    }
}

/// The figures of a column, round by round.
#[must_use]
pub fn column<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> Figures {
    Figures(rounds.iter().map(figure).collect())
}

/// The median of some times, in whatever they are measured.
#[must_use]
pub fn quantile(sorted: &[u32], part: f64) -> f64 {
    let place = (sorted.len() as f64 * part) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |it| f64::from(*it))
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
