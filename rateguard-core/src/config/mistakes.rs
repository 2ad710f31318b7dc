//! Collects mistakes, so that all of them are told at once.

use std::{collections::HashSet, fmt::Display};

use super::error::Diagnostic;
use crate::key::{KeyRecipes, plain_recipe};

/// No more are told, so that a file that is something else altogether fills no log.
const MOST: usize = 50;

/// What is wrong in a text, so far.
pub(super) struct Diagnostics<'t> {
    text: &'t str,
    /// Makes keys of their notations while the file is read.
    pub(super) key_recipes: KeyRecipes,
    list: Vec<(usize, String)>,
}

impl<'t> Diagnostics<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, key_recipes: plain_recipe, list: Vec::new() }
    }

    /// The same, for a file whose keys an adapter reads.
    pub(super) fn with_key_recipes(self, key_recipes: KeyRecipes) -> Self {
        Self { key_recipes, ..self }
    }

    /// Something is wrong at this byte of the text.
    pub(super) fn add(&mut self, at: usize, message: impl Display) {
        self.list.push((at.min(self.text.len()), message.to_string()));
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The first of them by their lines, each once, with lines and columns, and how many more there are.
    pub(super) fn into_list(mut self) -> Vec<Diagnostic> {
        let mut known = HashSet::new();
        self.list.retain(|mistake| known.insert(mistake.clone()));
        self.list.sort_by_key(|(at, _)| *at);
        let more = self.list.len().saturating_sub(MOST);
        if more > 0 {
            self.list.truncate(MOST + 1);
            if let Some((_, last)) = self.list.last_mut() {
                *last = format!("from here on there are {more} more mistakes");
            }
        }
        let text = self.text;
        let placed = |(at, message)| {
            let (line, column) = place(text, at);
            Diagnostic { line, column, message }
        };
        self.list.into_iter().map(placed).collect()
    }
}

/// The line and the character in it, from 1 on.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before: String =
        text.char_indices().take_while(|(place, _)| *place < at).map(|(_, it)| it).collect();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_many_the_first_are_told_and_how_many_more_there_are() {
        let text = "x\n".repeat(1_000);
        for (number, last) in
            [(50, "49"), (51, "from here on there are 1 more"), (1_000, "950 more")]
        {
            let mut mistakes = Diagnostics::of(&text);
            (0..number).rev().for_each(|line| mistakes.add(2 * line, line));
            let list = mistakes.into_list();
            assert_eq!(list.len(), number.min(51));
            let end = list.last().unwrap();
            assert!(end.message().contains(last), "{end}");
            assert_eq!((list[7].line(), end.line()), (8, list.len()));
        }
    }

    #[test]
    fn what_is_found_twice_is_told_once() {
        let mut mistakes = Diagnostics::of("x");
        for (at, message) in [(1, "b"), (0, "a"), (1, "c"), (0, "a"), (7, "b"), (0, "b")] {
            mistakes.add(at, message);
        }
        let list = mistakes.into_list();
        let told: Vec<_> = list.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["1:1: a", "1:1: b", "1:2: b", "1:2: c"]);
    }

    #[test]
    fn places_are_lines_and_characters_from_one_on() {
        let text = "a = 1\nä = [2, 3]\n\nb";
        for (at, expected) in
            [(0, (1, 1)), (5, (1, 6)), (6, (2, 1)), (8, (2, 2)), (text.len() - 1, (4, 1))]
        {
            assert_eq!(place(text, at), expected, "{at}");
        }
        assert_eq!(place(text, text.len() + 7), (4, 2));
    }
}
