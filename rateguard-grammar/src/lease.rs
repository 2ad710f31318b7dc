//! Defines the lease of a quota: the units that a process takes at once, to admit requests without a call to the store.

use std::{fmt, str::FromStr, time::Duration};

/// The lease of a quota: the maximum number of units that a process takes at once, and the time for which it may use
/// them. [`Quota::with_lease`](crate::Quota::with_lease) creates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuotaLease {
    units: u16,
    millis: u16,
}

impl QuotaLease {
    /// The minimum number of units: 2.
    pub const MIN_UNITS: u32 = 2;
    /// The maximum number of units: 1,000. The script writes an entry for each unit, and a larger lease would block the
    /// Redis server for too long.
    pub const MAX_UNITS: u32 = 1_000;
    /// The minimum duration: 100 milliseconds.
    pub const MIN_DURATION: Duration = Duration::from_millis(100);
    /// The maximum duration: 10 seconds.
    pub const MAX_DURATION: Duration = Duration::from_secs(10);
    /// The default duration: 1 second, or a quarter of the window if this is less.
    pub const DEFAULT_DURATION: Duration = Duration::from_secs(1);

    /// Creates a lease for a quota with this capacity and this window.
    pub(crate) const fn new(
        units: u32,
        duration: Duration,
        capacity: u32,
        window: Duration,
    ) -> Result<Self, LeaseBound> {
        if units < Self::MIN_UNITS || units > Self::MAX_UNITS || units > capacity / 2 {
            return Err(LeaseBound::Units);
        }
        let (micros, window) = (duration.as_micros(), window.as_micros());
        if micros < Self::MIN_DURATION.as_micros()
            || micros > Self::MAX_DURATION.as_micros()
            || micros > window / 4
            || !micros.is_multiple_of(1_000)
        {
            return Err(LeaseBound::Duration);
        }
        Ok(Self { units: units as u16, millis: (micros / 1_000) as u16 })
    }

    /// Returns the default duration for a quota with this window.
    #[must_use]
    pub const fn default_duration(window: Duration) -> Duration {
        let quarter = window.as_millis() / 4;
        if quarter < Self::DEFAULT_DURATION.as_millis() {
            Duration::from_millis(quarter as u64)
        } else {
            Self::DEFAULT_DURATION
        }
    }

    /// Returns the maximum number of units that a process takes at once.
    #[must_use]
    pub const fn units(&self) -> u32 {
        self.units as u32
    }

    /// Returns the time for which a process may use the units.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        Duration::from_millis(self.millis as u64)
    }
}

/// The packed bytes of a quota without a lease.
pub(crate) const NO_LEASE: [u8; 3] = [0; 3];

impl QuotaLease {
    /// The number of bits of the duration in milliseconds, which is at most 10,000. The number of units, which is at most
    /// 1,000, has the other 10 bits.
    const MILLIS_BITS: u32 = 14;

    /// Packs the lease into three bytes.
    pub(crate) const fn pack(self) -> [u8; 3] {
        let packed = (self.units as u32) << Self::MILLIS_BITS | self.millis as u32;
        [packed as u8, (packed >> 8) as u8, (packed >> 16) as u8]
    }

    /// Returns the lease that [`pack`](Self::pack) has packed into these bytes, or `None` for [`NO_LEASE`].
    pub(crate) const fn unpack([low, middle, high]: [u8; 3]) -> Option<Self> {
        let packed = (high as u32) << 16 | (middle as u32) << 8 | low as u32;
        let units = packed >> Self::MILLIS_BITS;
        if units == 0 {
            return None;
        }
        let millis = packed & ((1 << Self::MILLIS_BITS) - 1);
        Some(Self { units: units as u16, millis: millis as u16 })
    }
}

/// The number of a lease that is outside of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseBound {
    Units,
    Duration,
}

/// The size of a lease as users write it: a number of units, or a part of the limit such as `"5%"`. For a token bucket, it
/// is a part of the burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseSize {
    /// A number of units.
    Units(u32),
    /// A percentage of the limit, or of the burst of a token bucket, from 1 to 50. The number of units is rounded down,
    /// and is at most [`QuotaLease::MAX_UNITS`].
    Percent(u8),
}

impl LeaseSize {
    /// The error message for a value that is not the size of a lease.
    pub const EXPECTED: &str =
        "expected a lease in units such as 50, or a part of the limit from \"1%\" to \"50%\"";

    /// Returns the number of units for a quota with this [capacity](crate::Quota::capacity).
    #[must_use]
    pub const fn units(self, capacity: u32) -> u32 {
        match self {
            Self::Units(units) => units,
            Self::Percent(percent) => {
                let units = capacity as u64 * percent as u64 / 100;
                if units > QuotaLease::MAX_UNITS as u64 {
                    QuotaLease::MAX_UNITS
                } else {
                    units as u32
                }
            }
        }
    }
}

/// Parses a part of the limit such as `"5%"`.
impl FromStr for LeaseSize {
    type Err = LeaseSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text.trim().strip_suffix('%').and_then(|it| it.trim_end().parse().ok());
        percent.filter(|it| (1..=50).contains(it)).map(Self::Percent).ok_or(LeaseSizeError)
    }
}

impl From<u32> for LeaseSize {
    fn from(units: u32) -> Self {
        Self::Units(units)
    }
}

/// Parses a part of the limit such as `"5%"`.
impl TryFrom<&str> for LeaseSize {
    type Error = LeaseSizeError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The error for a text that is not the size of a lease.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LeaseSizeError;

impl fmt::Display for LeaseSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(LeaseSize::EXPECTED)
    }
}

crate::debug_as_display::debug_as_display!(LeaseSizeError);

impl std::error::Error for LeaseSizeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_outside_of_its_bounds_is_rejected() {
        let millis = Duration::from_millis;
        for (units, duration, expected) in [
            (2, 100, Ok(())),
            (1, 100, Err(LeaseBound::Units)),
            (50, 250, Ok(())),
            (51, 250, Err(LeaseBound::Units)),
            (50, 99, Err(LeaseBound::Duration)),
            (50, 251, Err(LeaseBound::Duration)),
        ] {
            let lease = QuotaLease::new(units, millis(duration), 100, millis(1_000));
            assert_eq!(lease.map(|_| ()), expected, "{units} {duration}");
        }
        let hour = Duration::from_secs(3_600);
        assert!(QuotaLease::new(1_000, QuotaLease::MAX_DURATION, 5_000, hour).is_ok());
        assert!(QuotaLease::new(1_001, QuotaLease::MAX_DURATION, 5_000, hour).is_err());
        assert!(QuotaLease::new(9, QuotaLease::MAX_DURATION + millis(1), 50, hour).is_err());
    }

    #[test]
    fn packed_lease_round_trips() {
        assert_eq!(QuotaLease::unpack(NO_LEASE), None);
        for lease in [(2, 100), (1_000, 10_000), (2, 10_000), (1_000, 100), (50, 1_000)] {
            let (units, millis) = lease;
            let lease = QuotaLease { units, millis };
            assert_eq!(QuotaLease::unpack(lease.pack()), Some(lease));
        }
    }

    #[test]
    fn percentage_is_a_part_of_the_limit() {
        for (text, limit, units) in [("5%", 1_000, 50), (" 50 % ", 7, 3), ("50%", 1 << 31, 1_000)] {
            assert_eq!(text.parse::<LeaseSize>().unwrap().units(limit), units, "{text}");
        }
        for text in ["", "5", "0%", "51%", "%", "-1%", "5%%"] {
            assert!(text.parse::<LeaseSize>().is_err(), "{text}");
        }
    }
}
