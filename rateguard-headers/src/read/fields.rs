//! Selects the rate limit fields among all fields of a response.

use super::names::{AGE, DATE};
use crate::names::{
    RATELIMIT, RATELIMIT_LIMIT, RATELIMIT_POLICY, RATELIMIT_REMAINING, RATELIMIT_RESET,
    RETRY_AFTER, X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET,
};

/// The maximum number of bytes in a field. A longer field is ignored, because a server with very long fields could
/// otherwise make a client slow.
const MAX_BYTES: usize = 16 * 1024;

/// The fields that have a single value. If a response has several lines of such a field, the value is the first
/// line.
const SINGLE: [&str; 3] = [AGE, DATE, RETRY_AFTER];

/// The fields whose lines are joined to one list.
const LISTS: [&str; 8] = [
    RATELIMIT,
    RATELIMIT_POLICY,
    RATELIMIT_LIMIT,
    RATELIMIT_REMAINING,
    RATELIMIT_RESET,
    X_RATELIMIT_LIMIT,
    X_RATELIMIT_REMAINING,
    X_RATELIMIT_RESET,
];

/// The rate limit fields of a response.
#[derive(Default)]
pub(crate) struct Fields {
    found: Vec<Field>,
}

struct Field {
    name: &'static str,
    /// The value of the field, or its joined lines. `None` if the field is too long or is not UTF-8.
    value: Option<String>,
}

impl Fields {
    /// Selects the rate limit fields from all fields of a response.
    pub(crate) fn find<N, V>(fields: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let mut selected = Self::default();
        for (name, value) in fields {
            selected.add(name.as_ref(), value.as_ref());
        }
        selected
    }

    fn add(&mut self, name: &str, line: &[u8]) {
        let mut names = SINGLE.into_iter().chain(LISTS);
        let Some(name) = names.find(|it| it.eq_ignore_ascii_case(name)) else { return };
        match self.found.iter_mut().find(|field| field.name == name) {
            None => self.found.push(Field { name, value: joined(String::new(), line) }),
            Some(_) if SINGLE.contains(&name) => {}
            Some(field) => field.value = field.value.take().and_then(|value| joined(value, line)),
        }
    }

    /// Returns the value of a field. If the field is a list, its lines are joined by commas.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.found.iter().find(|field| field.name == name)?.value.as_deref()
    }
}

/// Appends a field line to a value. Returns `None` if the value becomes too long or the line is not UTF-8. An empty
/// line does not change the value.
fn joined(mut value: String, line: &[u8]) -> Option<String> {
    if value.len() + line.len() > MAX_BYTES {
        return None;
    }
    let line = str::from_utf8(line).ok()?.trim();
    if !value.is_empty() && !line.is_empty() {
        value.push_str(", ");
    }
    value.push_str(line);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case() {
        let fields = Fields::find([("RateLimit-POLICY", "a"), ("rATELIMIT", "b"), ("x", "c")]);
        assert_eq!(fields.get(RATELIMIT_POLICY), Some("a"));
        assert_eq!(fields.get(RATELIMIT), Some("b"));
        assert_eq!(fields.found.len(), 2);
    }

    #[test]
    fn lines_of_a_list_field_are_joined_in_order() {
        let lines = ["a ", "", " b, c", "d"].map(|line| (RATELIMIT, line));
        assert_eq!(Fields::find(lines).get(RATELIMIT), Some("a, b, c, d"));
    }

    #[test]
    fn first_line_of_a_single_value_field_applies() {
        let lines = ["7", "8"].map(|line| (RETRY_AFTER, line));
        assert_eq!(Fields::find(lines).get(RETRY_AFTER), Some("7"));
    }

    #[test]
    fn too_long_and_non_utf8_fields_are_ignored() {
        let long = "a".repeat(MAX_BYTES);
        assert_eq!(Fields::find([(RATELIMIT, &long)]).get(RATELIMIT), Some(&*long));
        assert_eq!(Fields::find([(RATELIMIT, &*long), (RATELIMIT, "b")]).get(RATELIMIT), None);
        assert_eq!(Fields::find([(RATELIMIT, long + "a")]).get(RATELIMIT), None);

        let lines: [(_, &[u8]); 3] =
            [(RATELIMIT, b"\xff"), (RATELIMIT, b"a"), (RATELIMIT_LIMIT, b"b")];
        let fields = Fields::find(lines);
        assert_eq!((fields.get(RATELIMIT), fields.get(RATELIMIT_LIMIT)), (None, Some("b")));
    }
}
