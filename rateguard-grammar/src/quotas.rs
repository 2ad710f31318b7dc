//! Defines lists of quotas that are enforced together, such as `"5/second; 100/minute; 1000/day"`.

use std::{fmt, slice, str::FromStr};

use crate::{Quota, RateError, escape::escape_for_display, rate::MAX_QUOTAS};

/// One or more quotas. A request is admitted only if every quota has room.
///
/// The text of a list consists of the texts of its quotas ([`Quota`]), separated by semicolons. `Display` writes the
/// same notation. A store identifies a quota by its position in the list, so a quota retains its count when its limit
/// or window changes. So add a new quota at the end of the list. If you insert or remove a quota elsewhere, all quotas
/// after it move to new positions and lose their counts.
///
/// ```
/// # use actix_rateguard_grammar::{Quota, Quotas};
/// let quotas: Quotas = "5/second; 100/minute; 1000/day".parse()?;
/// assert_eq!(quotas.iter().map(Quota::limit).collect::<Vec<_>>(), [5, 100, 1000]);
/// assert_eq!(quotas.to_string(), "5/second; 100/minute; 1000/day");
/// # Ok::<(), actix_rateguard_grammar::RateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quotas {
    list: Vec<Quota>,
}

impl Quotas {
    /// The maximum number of quotas in a list.
    pub const MAX: usize = MAX_QUOTAS;

    /// Creates a list of quotas that are enforced together.
    ///
    /// # Errors
    ///
    /// [`RateError::Number`] if the number of quotas is not from 1 to [`MAX`](Self::MAX), [`RateError::Twice`] if two
    /// quotas are equal, and [`RateError::SeveralConcurrent`] if two quotas limit the requests in progress.
    pub fn new(quotas: impl IntoIterator<Item = Quota>) -> Result<Self, RateError> {
        let mut list = Vec::new();
        for quota in quotas {
            if list.contains(&quota) {
                return Err(RateError::Twice { quota });
            }
            let has_permits = |it: &Quota| it.algorithm().has_permits();
            if has_permits(&quota) && list.iter().any(has_permits) {
                return Err(RateError::SeveralConcurrent);
            }
            list.push(quota);
            if list.len() > 1 && list.iter().any(|it| it.lease().is_some()) {
                return Err(RateError::LeaseOfSeveral);
            }
        }
        if list.is_empty() || list.len() > Self::MAX {
            return Err(RateError::Number);
        }
        Ok(Self { list })
    }

    /// Returns the quotas in the order of the list. The slice has at least one element.
    #[must_use]
    pub fn as_slice(&self) -> &[Quota] {
        &self.list
    }

    /// Returns an iterator over the quotas in the order of the list. It yields at least one quota.
    pub fn iter(&self) -> slice::Iter<'_, Quota> {
        self.list.iter()
    }

    /// Returns the maximum cost of one request in units. This is the lowest [`Quota::max_cost`] of the rates in the
    /// list. If the list has no rate, the result is 1.
    #[must_use]
    pub fn max_cost(&self) -> u32 {
        // A request holds one permit, whatever its cost is.
        let rates = self.list.iter().filter(|quota| !quota.algorithm().has_permits());
        rates.map(Quota::max_cost).min().unwrap_or(1)
    }

    /// Returns the quota that limits the requests in progress, if the list has such a quota.
    #[must_use]
    pub fn concurrency(&self) -> Option<&Quota> {
        self.list.iter().find(|quota| quota.algorithm().has_permits())
    }

    /// Returns whether the quota has a lease. A list with a lease has only one quota.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        self.list.iter().any(|quota| quota.lease().is_some())
    }

    /// Returns whether the list has a quota that limits a rate.
    #[must_use]
    pub fn has_rate(&self) -> bool {
        self.list.iter().any(|quota| !quota.algorithm().has_permits())
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
        if has_wrong_separator(text) {
            return Err(RateError::Separator { text: escape_for_display(text) });
        }
        if !text.contains(';') {
            return text.parse().map(|quota: Quota| quota.into());
        }
        let quotas = text.split(';').enumerate().map(|(index, text)| {
            text.parse().map_err(|error| RateError::Listed {
                position: index + 1,
                text: escape_for_display(text.trim()),
                error: Box::new(error),
            })
        });
        Self::new(quotas.collect::<Result<Vec<_>, _>>()?)
    }
}

/// Returns whether a text consists of rates, but separates two of them with another character than a semicolon.
fn has_wrong_separator(text: &str) -> bool {
    let is_rate =
        |text: &str| text.contains('/') || text.contains(" per ") || text.contains(" concurrent");
    [",", "|", "&", "+", "\n", " and "].iter().any(|separator| {
        text.contains(separator)
            && text.split(';').flat_map(|text| text.split(separator)).all(is_rate)
    })
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
        for (index, quota) in self.list.iter().enumerate() {
            if index > 0 {
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
    fn notation_of_a_list_round_trips() {
        for text in [
            "5/minute",
            "5/second; 100/minute; 1000/day",
            "5/minute fixed_window; 100/second token_bucket burst 20",
            "5/minute; 3 concurrent lease minute",
        ] {
            assert_eq!(text.parse::<Quotas>().unwrap().to_string(), text);
        }
        assert_eq!(
            " 5/s;7 per 2 m ".parse::<Quotas>().unwrap().to_string(),
            "5/second; 7/2 minutes"
        );
    }

    #[test]
    fn invalid_lists_are_rejected_with_the_position() {
        for (text, reason) in [
            ("5/minut", "unknown unit of time `minut`"),
            ("5/second; 100/minut", "quota 2, `100/minut`: unknown unit of time"),
            ("5/second, 100/minute", "expected `;` between two rates, as in"),
            ("5/secnd,\t100 per minute", "found `5/secnd,\\t100 per minute`"),
            ("5/s; 6/m and 7/h", "expected `;` between two rates"),
            ("1,000/minute", "expected a rate such as"),
            ("5/second;", "quota 2, ``: expected a rate"),
            ("; 5/second", "quota 1, ``: expected a rate"),
            ("0/second; 5/minute", "quota 1, `0/second`: expected a limit"),
            ("5/minute; 5/60s", "duplicate quota `5/minute`"),
            ("5 concurrent; 6 concurrent", "expected at most one quota for requests in progress"),
            ("5/second; 100/minute lease 9", "a lease requires a single quota"),
            ("5/second, 3 concurrent", "expected `;` between two rates"),
            ("1/s;2/s;3/s;4/s;5/s;6/s;7/s;8/s;9/s", "expected 1 to 8 quotas"),
        ] {
            let error = text.parse::<Quotas>().expect_err(text).to_string();
            assert!(error.starts_with(reason) || error.contains(reason), "{text:?}: {error}");
        }
        assert_eq!(Quotas::new([]), Err(RateError::Number));
    }

    #[test]
    fn maximum_cost_is_that_of_the_smallest_quota() {
        let quotas: Quotas = "5/second; 100/minute; 1/second token_bucket burst 3".parse().unwrap();
        assert_eq!(quotas.max_cost(), 3);
        assert_eq!("9/second; 1 concurrent".parse::<Quotas>().unwrap().max_cost(), 9);
        assert_eq!("5 concurrent".parse::<Quotas>().unwrap().max_cost(), 1);
        assert_eq!("20000/second".parse::<Quotas>().unwrap().max_cost(), 10_000);
        assert_eq!("20000/second fixed_window".parse::<Quotas>().unwrap().max_cost(), 20_000);
    }
}
