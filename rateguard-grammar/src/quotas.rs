//! `"5/second; 100/minute; 1000/day"`: several quotas that all have to have room.

use std::{fmt, slice, str::FromStr};

use crate::shown::shown;

use crate::{Quota, RateError};

/// One quota or several, all of which a request has to find room in.
///
/// It is read from the notations of [`Quota`] with semicolons between them, and written the same way. A quota is known
/// by its place in the list: what was counted goes on counting when numbers change. A new quota belongs at the end; one
/// that is removed, or put before others, makes those behind it begin anew.
///
/// ```
/// # use rateguard_grammar::{Quota, Quotas};
/// let quotas: Quotas = "5/second; 100/minute; 1000/day".parse()?;
/// assert_eq!(quotas.iter().map(Quota::limit).collect::<Vec<_>>(), [5, 100, 1000]);
/// assert_eq!(quotas.to_string(), "5/second; 100/minute; 1000/day");
/// # Ok::<(), rateguard_grammar::RateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quotas {
    list: Vec<Quota>,
}

impl Quotas {
    /// The most quotas in a list.
    pub const MAX: usize = 8;

    /// These quotas, all together.
    ///
    /// # Errors
    ///
    /// [`RateError::Number`] unless there are from 1 to [`MAX`](Self::MAX), [`RateError::Twice`] if two are equal.
    pub fn new(quotas: impl IntoIterator<Item = Quota>) -> Result<Self, RateError> {
        let mut list = Vec::new();
        for quota in quotas {
            if list.contains(&quota) {
                return Err(RateError::Twice { quota });
            }
            list.push(quota);
        }
        if list.is_empty() || list.len() > Self::MAX {
            return Err(RateError::Number);
        }
        Ok(Self { list })
    }

    /// The quotas as they were listed; at least one.
    #[must_use]
    pub fn as_slice(&self) -> &[Quota] {
        &self.list
    }

    /// The quotas as they were listed; at least one.
    pub fn iter(&self) -> slice::Iter<'_, Quota> {
        self.list.iter()
    }

    /// The most that one request may cost: the lowest of theirs.
    #[must_use]
    pub fn max_cost(&self) -> u32 {
        self.list.iter().map(Quota::max_cost).min().unwrap_or(0)
    }
}

impl<'a> IntoIterator for &'a Quotas {
    type Item = &'a Quota;
    type IntoIter = slice::Iter<'a, Quota>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Quota> for Quotas {
    fn from(quota: Quota) -> Self {
        Self { list: vec![quota] }
    }
}

impl FromStr for Quotas {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.contains(';') {
            return text.parse().map(|quota: Quota| quota.into());
        }
        let quotas = text.split(';').enumerate().map(|(place, text)| {
            text.parse().map_err(|error| RateError::Listed {
                place: place + 1,
                text: shown(text.trim()),
                error: Box::new(error),
            })
        });
        Self::new(quotas.collect::<Result<Vec<_>, _>>()?)
    }
}

impl TryFrom<&str> for Quotas {
    type Error = RateError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<String> for Quotas {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, quota) in self.list.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            quota.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_written_as_it_is_read() {
        for text in [
            "5/minute",
            "5/second; 100/minute; 1000/day",
            "5/minute fixed_window; 100/second token_bucket burst 20",
        ] {
            assert_eq!(text.parse::<Quotas>().unwrap().to_string(), text);
        }
        assert_eq!(
            " 5/s;7 per 2 m ".parse::<Quotas>().unwrap().to_string(),
            "5/second; 7/2 minutes"
        );
    }

    #[test]
    fn what_is_wrong_in_a_list_is_told_with_its_place() {
        for (text, reason) in [
            ("5/minut", "`minut` is not a window"),
            ("5/second; 100/minut", "quota 2, `100/minut`: `minut` is not a window"),
            ("5/second;", "quota 2, ``: `` is not a rate"),
            ("; 5/second", "quota 1, ``: `` is not a rate"),
            ("0/second; 5/minute", "quota 1, `0/second`: a limit is a whole number"),
            ("5/minute; 5/60s", "the quota 5/minute is there twice"),
            ("1/s;2/s;3/s;4/s;5/s;6/s;7/s;8/s;9/s", "from 1 to 8 quotas"),
        ] {
            let error = text.parse::<Quotas>().expect_err(text).to_string();
            assert!(error.starts_with(reason) || error.contains(reason), "{text:?}: {error}");
        }
        assert_eq!(Quotas::new([]), Err(RateError::Number));
    }

    #[test]
    fn a_request_may_cost_what_the_smallest_quota_has_room_for() {
        let quotas: Quotas = "5/second; 100/minute; 1/second token_bucket burst 3".parse().unwrap();
        assert_eq!(quotas.max_cost(), 3);
        assert_eq!("20000/second".parse::<Quotas>().unwrap().max_cost(), 10_000);
        assert_eq!("20000/second fixed_window".parse::<Quotas>().unwrap().max_cost(), 20_000);
    }
}
