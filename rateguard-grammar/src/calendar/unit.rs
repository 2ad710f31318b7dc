//! Defines the units of calendar periods.

use std::{fmt, time::Duration};

/// The unit of a [`CalendarPeriod`](crate::CalendarPeriod).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CalendarUnit {
    /// An hour of the local clock, which starts at minute 0.
    Hour,
    /// A day, which starts at midnight.
    Day,
    /// A week of ISO 8601, which starts on Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl CalendarUnit {
    /// All units, with the names that the notation has for them.
    pub const NAMES: [(Self, &str); 5] = [
        (Self::Hour, "hour"),
        (Self::Day, "day"),
        (Self::Week, "week"),
        (Self::Month, "month"),
        (Self::Year, "year"),
    ];

    /// Returns the name that the notation has for the unit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        let (_, name) = Self::NAMES[self as usize];
        name
    }

    /// Returns the usual duration of a period: 1 hour, 1 day, 7 days, 30 days or 365 days. A period can be longer or
    /// shorter than this: a month has 28 to 31 days, and a day has 23 or 25 hours if the clocks change.
    #[must_use]
    pub const fn usual_duration(self) -> Duration {
        const HOUR: u64 = 3_600;
        Duration::from_secs(match self {
            Self::Hour => HOUR,
            Self::Day => 24 * HOUR,
            Self::Week => 7 * 24 * HOUR,
            Self::Month => 30 * 24 * HOUR,
            Self::Year => 365 * 24 * HOUR,
        })
    }

    /// Returns the unit with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, it)| *it == name).map(|(unit, _)| *unit)
    }
}

impl fmt::Display for CalendarUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
