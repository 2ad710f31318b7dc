//! Writes the messages for unknown names, and suggests a valid name when a name is misspelled.

/// The maximum length in bytes of a name that gets a suggestion. The maximum bounds the duration of a comparison.
const MAX_BYTES: usize = 60;

/// Returns the end of an error message about an unknown name. The text lists all valid names. If one of them is similar
/// to the unknown name, the text suggests this name. `kind` is the kind of thing that has the name, such as `policy`.
/// The text contains `kind` only if `names` is empty.
#[must_use]
pub fn expected_one_of(kind: &str, unknown: &str, names: &[&str]) -> String {
    if names.is_empty() {
        return format!("no {kind} is defined");
    }
    let suggestion = suggest(unknown, names.iter().copied())
        .map_or(String::new(), |name| format!("did you mean `{name}`? "));
    format!("{suggestion}expected one of `{}`", names.join("`, `"))
}

/// Returns the valid name that is most similar to `unknown`, or `None` if no valid name is similar enough.
#[must_use]
pub fn suggest<'w>(unknown: &str, names: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if unknown.len() > MAX_BYTES {
        return None;
    }
    // At most a third of the letters may differ, but one letter may differ even in a short name.
    let max = (unknown.chars().count() / 3).max(1);
    let distances = names.into_iter().map(|name| {
        let distance = if is_singular_of(unknown, name) { 0 } else { distance(unknown, name) };
        (distance, name)
    });
    distances.filter(|(distance, _)| *distance <= max).min_by_key(|it| it.0).map(|it| it.1)
}

/// Returns whether `name` ends with `ies` and `unknown` is its singular, such as `policy` for `policies`. The plural
/// differs in three letters, which is too much for a comparison of the letters.
fn is_singular_of(unknown: &str, name: &str) -> bool {
    let stem = name.strip_suffix("ies");
    stem.is_some_and(|stem| unknown.strip_suffix('y') == Some(stem))
}

/// Returns the optimal string alignment distance of two names. This is the number of insertions, deletions,
/// substitutions, and transpositions of adjacent letters that change one name into the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    // `rows[i][j]` is the distance between the first `i` letters of `one` and the first `j` letters of `other`.
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for (i, letter) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, expected) in other.iter().enumerate() {
            let substituted = rows[i][j] + usize::from(letter != expected);
            let mut min = substituted.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *letter == other[j - 1] && one[i - 1] == *expected {
                min = min.min(rows[i - 1][j - 1] + 1);
            }
            row.push(min);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_names_are_suggested() {
        let names = ["rate", "key", "ban", "on_error", "missing_key", "policies"];
        for (unknown, expected) in [
            ("rtae", Some("rate")),
            ("raet", Some("rate")),
            ("rates", Some("rate")),
            ("kay", Some("key")),
            ("on-error", Some("on_error")),
            ("onerror", Some("on_error")),
            ("misssing_key", Some("missing_key")),
            ("policy", Some("policies")),
            ("quota", None),
            ("", None),
        ] {
            assert_eq!(suggest(unknown, names), expected, "{unknown}");
        }
    }

    #[test]
    fn message_lists_the_valid_names_and_suggests_a_similar_one() {
        for (names, expected) in [
            (&["login", "search"][..], "did you mean `search`? expected one of `login`, `search`"),
            (&["login"], "expected one of `login`"),
            (&[], "no policy is defined"),
        ] {
            assert_eq!(expected_one_of("policy", "serach", names), expected);
        }
    }
}
