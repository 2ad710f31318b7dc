//! Defines a calendar period: a unit and a time zone.

use std::{fmt, str::FromStr};

use super::{CalendarError, CalendarUnit, ZoneName, error::Problem, zone_list};
use crate::escape::escape_for_display;

/// The word that begins the notation of a calendar period.
const CALENDAR: &str = "calendar";

/// A period of the calendar in a time zone, such as a day in `Europe/Berlin`.
///
/// The text is `"calendar day"` or `"calendar day Europe/Berlin"`. The default time zone is UTC. `Display` writes the
/// same notation.
///
/// A period starts when the local clock first shows its start. So a day has 23 or 25 hours if the clocks change. If the
/// clocks are set back over the start of a period, the period does not start a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CalendarPeriod {
    unit: CalendarUnit,
    zone: ZoneName,
}

impl CalendarPeriod {
    /// Creates the period with this unit in this time zone.
    #[cfg(feature = "calendar")]
    #[must_use]
    pub const fn new(unit: CalendarUnit, zone: ZoneName) -> Self {
        Self { unit, zone }
    }

    /// Returns the unit of the period.
    #[must_use]
    pub const fn unit(self) -> CalendarUnit {
        self.unit
    }

    /// Returns the time zone in which the period starts and ends.
    #[must_use]
    pub const fn zone(self) -> ZoneName {
        self.zone
    }

    /// Packs the period into three bytes.
    pub(crate) const fn pack(self) -> [u8; 3] {
        let [low, high] = self.zone.index().to_le_bytes();
        [self.unit as u8, low, high]
    }

    /// Returns the period that [`pack`](Self::pack) has packed into these bytes.
    pub(crate) const fn unpack([unit, low, high]: [u8; 3]) -> Self {
        let (unit, _) = CalendarUnit::NAMES[unit as usize];
        Self { unit, zone: ZoneName::from_index(u16::from_le_bytes([low, high])) }
    }
}

impl FromStr for CalendarPeriod {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |problem| CalendarError::new(escape_for_display(text.trim()), problem);
        let mut words = text.split_whitespace();
        let (Some(CALENDAR), Some(unit), zone, None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(error(Problem::Notation));
        };
        if !zone_list::HAS_ZONES {
            return Err(error(Problem::Feature));
        }
        let unit = CalendarUnit::named(unit)
            .ok_or_else(|| CalendarError::new(escape_for_display(unit), Problem::Unit))?;
        let zone = zone.map_or(Ok(ZoneName::UTC), str::parse)?;
        Ok(Self { unit, zone })
    }
}

impl fmt::Display for CalendarPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{CALENDAR} {}", self.unit)?;
        if self.zone != ZoneName::UTC {
            write!(f, " {}", self.zone)?;
        }
        Ok(())
    }
}

/// Splits the text of a quota with a calendar period, such as `5/calendar day`, into the limit and the period. Returns
/// `None` if the text has no calendar period.
pub(crate) fn split_at_calendar(text: &str) -> Option<(&str, &str)> {
    let (before, after) = text.split_at(text.find(CALENDAR)?);
    let is_word = after[CALENDAR.len()..].chars().next().is_none_or(char::is_whitespace);
    let before = before.trim_end();
    let limit = before.strip_suffix('/').or_else(|| before.strip_suffix(" per"))?;
    is_word.then_some((limit, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(feature = "calendar"))]
    #[test]
    fn period_without_the_feature_is_rejected_with_its_name() {
        let error = "calendar day".parse::<CalendarPeriod>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`calendar day` requires the feature `calendar`; add it to the features of `actix-rateguard`"
        );
    }

    #[cfg(feature = "calendar")]
    #[test]
    fn every_unit_round_trips_in_text_and_packed() {
        for (unit, name) in CalendarUnit::NAMES {
            assert_eq!(unit.name(), name);
            for zone in ["UTC", "Europe/Berlin", "Pacific/Apia", "Zulu"] {
                let period = CalendarPeriod::new(unit, zone.parse().unwrap());
                assert_eq!(period.to_string().parse(), Ok(period));
                assert_eq!(CalendarPeriod::unpack(period.pack()), period);
            }
        }
        assert_eq!(
            "calendar day UTC".parse::<CalendarPeriod>().unwrap().to_string(),
            "calendar day"
        );
    }

    #[cfg(feature = "calendar")]
    #[test]
    fn invalid_periods_are_rejected_with_the_reason() {
        for (text, reason) in [
            ("calendar", "expected a calendar period such as"),
            ("calendar day Europe/Berlin now", "expected a calendar period such as"),
            ("calendar days", "unknown calendar period `days`; did you mean `day`?"),
            ("calendar minute", "expected one of `hour`, `day`, `week`, `month`, `year`"),
            ("calendar day Europe/Berln", "did you mean `Europe/Berlin`?"),
        ] {
            let error = text.parse::<CalendarPeriod>().expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
