//! The fields of a response that matter here, out of all of its fields.

use crate::names::{
    AGE, DATE, RATELIMIT, RATELIMIT_LIMIT, RATELIMIT_POLICY, RATELIMIT_REMAINING, RATELIMIT_RESET,
    RETRY_AFTER, X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET,
};

/// Fields that are longer are ignored, so that no server makes a client work for long.
const MAX_BYTES: usize = 16 * 1024;

/// Fields that have one value. If there are several lines, the first counts.
const SINGLE: [&str; 3] = [AGE, DATE, RETRY_AFTER];

/// Fields whose lines are one list together.
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

/// The fields of a response that matter here.
#[derive(Default)]
pub(crate) struct Fields {
    found: Vec<Field>,
}

struct Field {
    name: &'static str,
    /// Its lines, or `None` if it is to be ignored: it is too long or no text.
    value: Option<String>,
}

impl Fields {
    /// Finds them among all.
    pub(crate) fn find<N, V>(fields: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let mut known = Self::default();
        for (name, value) in fields {
            known.add(name.as_ref(), value.as_ref());
        }
        known
    }

    fn add(&mut self, name: &str, line: &[u8]) {
        let mut names = SINGLE.into_iter().chain(LISTS);
        let Some(name) = names.find(|known| known.eq_ignore_ascii_case(name)) else { return };
        match self.found.iter_mut().find(|field| field.name == name) {
            None => self.found.push(Field { name, value: joined(String::new(), line) }),
            Some(_) if SINGLE.contains(&name) => {}
            Some(field) => field.value = field.value.take().and_then(|value| joined(value, line)),
        }
    }

    /// The value of a field, its lines joined by commas.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.found.iter().find(|field| field.name == name)?.value.as_deref()
    }
}

/// The value with one more line, or `None` if that makes it illegal. A line with nothing in it adds nothing.
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
    fn lines_are_one_list_in_their_order() {
        let lines = ["a ", "", " b, c", "d"].map(|line| (RATELIMIT, line));
        assert_eq!(Fields::find(lines).get(RATELIMIT), Some("a, b, c, d"));
    }

    #[test]
    fn of_fields_that_have_one_value_the_first_line_counts() {
        let lines = ["7", "8"].map(|line| (RETRY_AFTER, line));
        assert_eq!(Fields::find(lines).get(RETRY_AFTER), Some("7"));
    }

    #[test]
    fn fields_that_are_too_long_or_no_text_are_ignored() {
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
