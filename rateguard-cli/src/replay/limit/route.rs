//! Patterns of routes, in the notation of actix-web: `/orders/{id}`, and `/files/{tail}*` for any number of segments.

use std::{fmt, str::FromStr};

use actix_rateguard_grammar::escape_for_display;

/// A pattern of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoutePattern {
    text: String,
    segments: Vec<Segment>,
    /// The name of the parameter for the rest of the path, if the pattern ends with one.
    tail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
}

impl RoutePattern {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the pattern has a parameter with this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tail.as_deref() == Some(name)
            || self.segments.iter().any(|it| matches!(it, Segment::Parameter(it) if it == name))
    }

    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        self.walk(path, |_, _| ()).is_some()
    }

    /// Returns the value of a parameter in a path. `None` if the path does not match.
    pub(crate) fn parameter<'a>(&self, path: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let mut value = None;
        self.walk(path, |parameter, it| {
            if parameter == name {
                value = Some(it);
            }
        })?;
        value
    }

    /// Compares a path with the pattern, and passes the parameters. Returns `None` if the path does not match.
    fn walk<'a>(&self, path: &'a [u8], mut parameter: impl FnMut(&str, &'a [u8])) -> Option<()> {
        let mut rest = Some(path.strip_prefix(b"/")?);
        for segment in &self.segments {
            let current = rest?;
            let end = current.iter().position(|byte| *byte == b'/');
            let value = current.get(..end.unwrap_or(current.len()))?;
            rest = end.and_then(|end| current.get(end + 1..));
            match segment {
                Segment::Literal(text) if text.as_bytes() == value => {}
                Segment::Parameter(name) if !value.is_empty() => parameter(name, value),
                _ => return None,
            }
        }
        match (&self.tail, rest) {
            (Some(name), Some(rest)) => parameter(name, rest),
            (Some(_), None) | (None, Some(_)) => return None,
            (None, None) => {}
        }
        Some(())
    }
}

impl FromStr for RoutePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || {
            let text = escape_for_display(text);
            format!(
                "expected a pattern such as `/login`, `/orders/{{id}}` or `/files/{{tail}}*`, found `{text}`"
            )
        };
        let mut parts: Vec<&str> = text.strip_prefix('/').ok_or_else(invalid)?.split('/').collect();
        let last = parts.last().copied().unwrap_or_default();
        let tail = match last.strip_suffix('*').or_else(|| last.strip_suffix(":.*}").map(|_| last))
        {
            Some("") => Some(String::new()),
            Some(name) => {
                let name = name
                    .strip_suffix('}')
                    .and_then(|it| it.strip_prefix('{'))
                    .ok_or_else(invalid)?;
                Some(name.split(':').next().unwrap_or(name).to_owned())
            }
            None => None,
        };
        if tail.is_some() {
            parts.pop();
        }
        let segments = parts.into_iter().map(|part| {
            let parameter = part.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            match parameter {
                Some(name) if !name.is_empty() && !name.contains(['{', '}', ':', '*']) => {
                    Ok(Segment::Parameter(name.to_owned()))
                }
                None if !part.contains(['{', '}', '*']) => Ok(Segment::Literal(part.to_owned())),
                _ => Err(invalid()),
            }
        });
        Ok(Self { text: text.to_owned(), segments: segments.collect::<Result<_, _>>()?, tail })
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_by_segments() {
        for (pattern, matching, other) in [
            ("/", vec!["/"], vec!["", "/a", "*"]),
            ("/login", vec!["/login"], vec!["/login/", "/logins", "/a/login"]),
            ("/orders/{id}", vec!["/orders/7"], vec!["/orders", "/orders/", "/orders/7/items"]),
            ("/a/{id}/b", vec!["/a/7/b"], vec!["/a/7/c", "/a/7", "/a//b"]),
            ("/files/{tail}*", vec!["/files/", "/files/a", "/files/a/b"], vec!["/files", "/x"]),
            ("/files/{tail:.*}", vec!["/files/", "/files/a/b"], vec!["/files"]),
            ("/api/*", vec!["/api/", "/api/a/b"], vec!["/api"]),
            ("/*", vec!["/", "/a/b"], vec!["*"]),
        ] {
            let pattern: RoutePattern = pattern.parse().unwrap();
            for path in matching {
                assert!(pattern.matches(path.as_bytes()), "{pattern} {path}");
            }
            for path in other {
                assert!(!pattern.matches(path.as_bytes()), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn parameters_have_the_values_of_the_path() {
        let pattern: RoutePattern = "/t/{tenant}/{rest}*".parse().unwrap();
        let parameter =
            |name| pattern.parameter(b"/t/acme/a/b", name).map(|it| str::from_utf8(it).unwrap());
        assert_eq!(
            [parameter("tenant"), parameter("rest"), parameter("x")],
            [Some("acme"), Some("a/b"), None]
        );
        assert!(pattern.has("tenant") && pattern.has("rest") && !pattern.has("x"));
        for invalid in ["", "login", "/a{b}", "/{}", "/{a:\\d+}", "/*/a"] {
            assert!(invalid.parse::<RoutePattern>().is_err(), "{invalid}");
        }
    }
}
