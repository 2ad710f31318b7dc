//! A table whose columns are as wide as their cells.

use comfy_table::{CellAlignment, ContentArrangement, presets::NOTHING};

use super::{Output, Style, escape::printable};
use crate::exit::Failure;

/// A table. The first row is the header.
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<(Style, Vec<String>)>,
    numbers: Vec<usize>,
}

impl Table {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new(), numbers: Vec::new() }
    }

    /// Aligns the columns with these indexes to the right.
    pub(crate) fn numbers(mut self, columns: &[usize]) -> Self {
        self.numbers = columns.to_vec();
        self
    }

    pub(crate) fn row(&mut self, style: Style, cells: Vec<String>) {
        self.rows.push((style, cells));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the lines of the table, each with its style.
    pub(crate) fn lines(&self) -> Vec<(Style, String)> {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.add_row(self.header.clone());
        for (_, cells) in &self.rows {
            // An escaped cell has no line break, so each row is one line.
            table.add_row(cells.iter().map(|cell| printable(cell)).collect::<Vec<_>>());
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.numbers.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let styles = std::iter::once(Style::Bold).chain(self.rows.iter().map(|(style, _)| *style));
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        styles.zip(lines).collect()
    }

    pub(crate) fn write(&self, output: &Output) -> Result<(), Failure> {
        self.lines().into_iter().try_for_each(|(style, line)| output.line(style, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_in_their_row_and_column() {
        let mut table = Table::new(&["NAME", "RATE"]).numbers(&[1]);
        table.row(Style::Plain, vec!["a\nb".to_owned(), "1.2".to_owned()]);
        table.row(Style::Plain, vec!["日本".to_owned(), "812".to_owned()]);
        let lines: Vec<String> = table.lines().into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, ["NAME     RATE", "a\\u{a}b   1.2", "日本      812"]);
    }
}
