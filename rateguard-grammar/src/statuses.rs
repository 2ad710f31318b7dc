//! Parses lists of response statuses, such as `401,403` and `4xx,!404`.

use std::fmt;

/// A set of response statuses, such as the statuses that `"status:401,403"`, `"status:4xx,!404"` or `"status:!5xx"`
/// selects.
///
/// [`Count`](crate::Count) parses the list after `status:` into this set. The list has 1 to 8 items, separated by
/// commas. An item is a status from 100 to 599, or a class such as `4xx`. A `!` in front of an item excludes the item
/// from the set. If every item has a `!`, the set contains all other statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Statuses {
    /// The items in the order of the list. `None` follows the last item.
    items: [Option<Item>; Self::MAX_ITEMS],
}

/// The reason why a list is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusesError {
    /// An item is neither a status nor a class.
    Item,
    /// The list has more than [`Statuses::MAX_ITEMS`] items.
    TooMany { found: usize },
    /// The items exclude every status, so no response would count.
    Empty,
}

/// An item of the list: the range of statuses from `first` to `last`. For a single status, both are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Item {
    first: u16,
    last: u16,
    /// Whether the item has a `!`.
    is_excluded: bool,
}

impl Statuses {
    /// The maximum number of items in a list.
    pub(crate) const MAX_ITEMS: usize = 8;

    /// Parses a list. White space around the commas is ignored.
    pub(crate) fn parse(text: &str) -> Result<Self, StatusesError> {
        let found = text.split(',').count();
        if found > Self::MAX_ITEMS {
            return Err(StatusesError::TooMany { found });
        }
        let mut items = [None; Self::MAX_ITEMS];
        for (item, text) in items.iter_mut().zip(text.split(',')) {
            *item = Some(Item::parse(text.trim()).ok_or(StatusesError::Item)?);
        }
        let statuses = Self { items };
        if !(100..=599).any(|status| statuses.contains(status)) {
            return Err(StatusesError::Empty);
        }
        Ok(statuses)
    }

    /// Returns whether the set contains this status.
    #[must_use]
    pub fn contains(self, status: u16) -> bool {
        let mut has_included = false;
        let mut is_included = false;
        for item in self.items.into_iter().flatten() {
            let matches = (item.first..=item.last).contains(&status);
            if item.is_excluded && matches {
                return false;
            }
            has_included |= !item.is_excluded;
            is_included |= matches;
        }
        is_included || !has_included
    }
}

impl Item {
    fn parse(text: &str) -> Option<Self> {
        let (text, is_excluded) = match text.strip_prefix('!') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (first, last) = match *text.as_bytes() {
            [class @ b'1'..=b'5', b'x', b'x'] => {
                let first = u16::from(class - b'0') * 100;
                (first, first + 99)
            }
            [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'] => {
                let status = text.parse().ok()?;
                (status, status)
            }
            _ => return None,
        };
        Some(Self { first, last, is_excluded })
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.items.iter().flatten().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            f.write_str(if item.is_excluded { "!" } else { "" })?;
            if item.first == item.last {
                write!(f, "{}", item.first)?;
            } else {
                write!(f, "{}xx", item.first / 100)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_contains_included_statuses_without_excluded_ones() {
        for (text, expected) in [
            ("401", vec![401]),
            ("401,503", vec![401, 503]),
            ("4xx", vec![401, 404]),
            ("4xx,503", vec![401, 404, 503]),
            ("!5xx", vec![101, 200, 401, 404]),
            ("!4xx,!503", vec![101, 200]),
            ("4xx,!404", vec![401]),
            ("!404,4xx", vec![401]),
        ] {
            let statuses = Statuses::parse(text).unwrap();
            let all = [101, 200, 401, 404, 503].into_iter();
            let contained: Vec<_> = all.filter(|status| statuses.contains(*status)).collect();
            assert_eq!(contained, expected, "{text}");
        }
    }

    #[test]
    fn spaces_around_commas_are_ignored() {
        assert_eq!(Statuses::parse(" 401 , !5xx").unwrap().to_string(), "401,!5xx");
    }

    #[test]
    fn list_without_any_status_is_rejected() {
        for text in ["401,!401", "5xx,!5xx", "!1xx,!2xx,!3xx,!4xx,!5xx"] {
            assert_eq!(Statuses::parse(text), Err(StatusesError::Empty), "{text}");
        }
    }

    #[test]
    fn more_than_eight_items_are_rejected() {
        assert!(Statuses::parse("400,401,402,403,404,405,406,407").is_ok());
        let nine = Statuses::parse("400,401,402,403,404,405,406,407,408");
        assert_eq!(nine, Err(StatusesError::TooMany { found: 9 }));
    }
}
