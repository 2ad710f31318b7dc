//! Collects all errors of a policies file, so that a user can correct all of them together.

use std::{collections::HashSet, fmt::Display};

use super::error::Diagnostic;
use crate::key::{KeyRecipes, plain_recipe};

/// The maximum number of reported diagnostics. Without a maximum, a file that is not a policies file could fill the
/// log.
const MAX_DIAGNOSTICS: usize = 50;

/// The diagnostics that have been found in a text so far.
pub(super) struct Diagnostics<'t> {
    text: &'t str,
    /// The function that creates a key recipe from a notation (such as `user`) while the file is parsed.
    pub(super) key_recipes: KeyRecipes,
    /// The byte offset and the message of each diagnostic.
    list: Vec<(usize, String)>,
}

impl<'t> Diagnostics<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, key_recipes: plain_recipe, list: Vec::new() }
    }

    /// Sets the function that creates a [key recipe](crate::key::KeyRecipe) from a notation in the file, such as `user`. An
    /// HTTP adapter supplies this function.
    pub(super) fn with_key_recipes(self, key_recipes: KeyRecipes) -> Self {
        Self { key_recipes, ..self }
    }

    /// Adds an error that is at a byte offset of the text.
    pub(super) fn add(&mut self, offset: usize, message: impl Display) {
        self.list.push((offset.min(self.text.len()), message.to_string()));
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns the first 50 diagnostics in the order of their offsets, without duplicates. If there are more than 50
    /// diagnostics, an additional one reports how many are omitted.
    pub(super) fn into_list(mut self) -> Vec<Diagnostic> {
        let mut unique = HashSet::new();
        self.list.retain(|diagnostic| unique.insert(diagnostic.clone()));
        self.list.sort_by_key(|(offset, _)| *offset);
        let omitted = self.list.len().saturating_sub(MAX_DIAGNOSTICS);
        if omitted > 0 {
            self.list.truncate(MAX_DIAGNOSTICS + 1);
            if let Some((_, last)) = self.list.last_mut() {
                *last = format!("{omitted} more errors from here");
            }
        }
        let text = self.text;
        let with_position = |(offset, message)| {
            let (line, column) = position(text, offset);
            Diagnostic { line, column, message }
        };
        self.list.into_iter().map(with_position).collect()
    }
}

/// Returns the line and the column of a byte offset. Both numbers start at 1, and the column is a number of
/// characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before: String =
        text.char_indices().take_while(|(index, _)| *index < offset).map(|(_, it)| it).collect();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_diagnostics_is_bounded() {
        let text = "x\n".repeat(1_000);
        for (number, last) in
            [(50, "49"), (51, "1 more errors from here"), (1_000, "950 more errors")]
        {
            let mut diagnostics = Diagnostics::of(&text);
            (0..number).rev().for_each(|line| diagnostics.add(2 * line, line));
            let list = diagnostics.into_list();
            assert_eq!(list.len(), number.min(51));
            let end = list.last().unwrap();
            assert!(end.message().contains(last), "{end}");
            assert_eq!((list[7].line(), end.line()), (8, list.len()));
        }
    }

    #[test]
    fn duplicates_are_removed() {
        let mut diagnostics = Diagnostics::of("x");
        for (offset, message) in [(1, "b"), (0, "a"), (1, "c"), (0, "a"), (7, "b"), (0, "b")] {
            diagnostics.add(offset, message);
        }
        let list = diagnostics.into_list();
        let list: Vec<_> = list.iter().map(ToString::to_string).collect();
        assert_eq!(list, ["1:1: a", "1:1: b", "1:2: b", "1:2: c"]);
    }

    #[test]
    fn positions_are_lines_and_characters_from_one() {
        let text = "a = 1\nä = [2, 3]\n\nb";
        for (offset, expected) in
            [(0, (1, 1)), (5, (1, 6)), (6, (2, 1)), (8, (2, 2)), (text.len() - 1, (4, 1))]
        {
            assert_eq!(position(text, offset), expected, "{offset}");
        }
        assert_eq!(position(text, text.len() + 7), (4, 2));
    }
}
