//! Defines the name of a time zone.

use std::{fmt, str::FromStr};

use super::{
    error::{CalendarError, Problem},
    zone_list,
};
use crate::{escape::escape_for_display, suggest};

/// The name of a time zone in the IANA time zone database, such as `Europe/Berlin`.
///
/// The database is part of the program (feature `calendar`), so all servers with the same build have the same time
/// zones, whatever the operating system has.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ZoneName {
    /// The index in the list of all names plus 1, or 0 for UTC. Every check copies a quota, so the name must be small.
    index: u16,
}

impl ZoneName {
    /// Coordinated universal time, which is the default.
    pub const UTC: Self = Self { index: 0 };

    /// Returns the name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self.index {
            0 => "UTC",
            index => zone_list::names().get(usize::from(index) - 1).copied().unwrap_or("UTC"),
        }
    }

    /// Returns a number that identifies the time zone in this process. The number is less than 1,024. Another build of
    /// the program may have another number for the same time zone.
    #[doc(hidden)]
    #[must_use]
    pub const fn index(self) -> u16 {
        self.index
    }

    pub(super) const fn from_index(index: u16) -> Self {
        Self { index }
    }
}

impl FromStr for ZoneName {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |problem| CalendarError::new(escape_for_display(text), problem);
        if !zone_list::HAS_ZONES {
            return Err(error(Problem::Feature));
        }
        if text == "UTC" {
            return Ok(Self::UTC);
        }
        let index = zone_list::names().binary_search(&text).ok();
        let index = index.and_then(|index| u16::try_from(index + 1).ok());
        index
            .map(|index| Self { index })
            .ok_or_else(|| error(Problem::Zone { similar: similar_name(text) }))
    }
}

/// Returns the name that the user has probably meant.
fn similar_name(text: &str) -> Option<&'static str> {
    let names = || zone_list::names().iter().copied();
    let city = |name: &'static str| name.rsplit('/').next().unwrap_or(name);
    names()
        .find(|name| name.eq_ignore_ascii_case(text))
        .or_else(|| names().find(|name| city(name).eq_ignore_ascii_case(text)))
        .or_else(|| suggest(text, names()))
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(all(test, feature = "calendar"))]
mod tests {
    use super::*;

    #[test]
    fn every_name_round_trips() {
        let names = zone_list::names();
        assert!(names.len() < 1_024, "an index must fit into 10 bits");
        for name in names {
            let zone: ZoneName = name.parse().unwrap();
            assert_eq!(zone.to_string(), *name);
            assert_eq!(ZoneName::from_index(zone.index()), zone);
        }
    }

    #[test]
    fn misspelled_names_are_rejected_with_a_suggestion() {
        for (text, similar) in [
            ("Europe/Berln", "Europe/Berlin"),
            ("europe/berlin", "Europe/Berlin"),
            ("Berlin", "Europe/Berlin"),
            ("America/NewYork", "America/New_York"),
        ] {
            let error = text.parse::<ZoneName>().unwrap_err().to_string();
            let expected = format!("unknown time zone `{text}`; did you mean `{similar}`?");
            assert!(error.starts_with(&expected), "{error}");
        }
        let error = "+02:00".parse::<ZoneName>().unwrap_err().to_string();
        assert!(error.starts_with("unknown time zone `+02:00`; expected a name"), "{error}");
    }
}
