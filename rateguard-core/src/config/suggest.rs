//! What somebody may have meant.

/// What is longer is like no word that is known.
const LONGEST: usize = 60;

/// The word that is most like this one, if one is like it.
pub(super) fn suggest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if word.len() > LONGEST {
        return None;
    }
    // A third of the letters may be wrong, and one of a short word.
    let most = (word.chars().count() / 3).max(1);
    let distances = words.into_iter().map(|known| (distance(word, known), known));
    distances.filter(|(distance, _)| *distance <= most).min_by_key(|it| it.0).map(|it| it.1)
}

/// How many letters have to be put in, left out, replaced or swapped with their neighbour: the optimal string alignment.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    // For each beginning of `one`: the distances to all beginnings of `other`.
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for (i, letter) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, known) in other.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(letter != known);
            let mut least = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *letter == other[j - 1] && one[i - 1] == *known {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_anything_else_is_not() {
        let words = ["rate", "key", "ban", "on_error", "missing"];
        for (word, expected) in [
            ("rtae", Some("rate")),
            ("raet", Some("rate")),
            ("rates", Some("rate")),
            ("kay", Some("key")),
            ("on-error", Some("on_error")),
            ("onerror", Some("on_error")),
            ("misssing", Some("missing")),
            ("quota", None),
            ("", None),
        ] {
            assert_eq!(suggest(word, words), expected, "{word}");
        }
    }
}
