//! Defines a quota: a limit, a window and an algorithm.

use std::{error::Error, fmt, time::Duration};

use crate::{
    Algorithm, CalendarPeriod,
    lease::{LeaseBound, NO_LEASE, QuotaLease},
};

/// The maximum number of requests in a window, and the algorithm that counts the requests.
///
/// A quota can also limit the number of requests that are in progress at the same time: `"5 concurrent"`. See
/// [`concurrent`](Self::concurrent).
///
/// The text of a quota has a form such as `"5/minute"`, `"100/10s"` or `"20 per 5 minutes"`. The text can also name an
/// algorithm: `"5/minute fixed_window"`, `"100/second token_bucket burst 20"`. The default algorithm is the exact
/// sliding window. `Display` writes the same notation.
///
/// With the feature `calendar`, a quota can also count in periods of the calendar: `"1000/calendar day Europe/Berlin"`.
/// See [`calendar`](Self::calendar).
///
/// ```
/// # use actix_rateguard_grammar::{Algorithm, Quota};
/// # use std::time::Duration;
/// let quota: Quota = "5/minute".parse()?;
/// assert_eq!(quota, Quota::new(5, Duration::from_secs(60))?);
///
/// let bursts = quota.with_algorithm(Algorithm::TokenBucket)?.with_burst(20)?;
/// assert_eq!(bursts.to_string(), "5/minute token_bucket burst 20");
/// # Ok::<(), actix_rateguard_grammar::RateError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    // A token bucket divides a token into equal parts, so that it regains a whole number of parts in each microsecond.
    // So the quota stores the ratio of window and limit in lowest terms: `parts_per_token` is the window in
    // microseconds divided by `common`, `parts_per_micro` is the limit divided by `common`, and `common` is the
    // greatest common divisor of both. Every check copies a quota, so the fields are small.
    parts_per_token: u64,
    parts_per_micro: u32,
    common: u32,
    capacity: u32,
    algorithm: Algorithm,
    // The period of a quota with `Algorithm::Calendar`, or the lease of any other quota. These bytes would otherwise be
    // padding.
    packed: [u8; 3],
}

impl Quota {
    /// The maximum limit: 2^31 requests.
    pub const MAX_LIMIT: u32 = 1 << 31;
    /// The minimum window: 1 millisecond.
    pub const MIN_WINDOW: Duration = Duration::from_millis(1);
    /// The maximum window: 365 days.
    pub const MAX_WINDOW: Duration = Duration::from_secs(365 * 86_400);
    /// The maximum debt of a token bucket: 2^52 parts of a token. The debt is the number of parts that the bucket must
    /// regain until it is full. [`token`](Self::token) defines the parts. A higher maximum would not be safe, because
    /// the Lua scripts in Redis count exactly only below 2^53.
    pub const MAX_DEBT: u64 = 1 << 52;

    /// The minimum lease of a permit: 1 second. Shorter leases would need too many renewals.
    pub const MIN_LEASE: Duration = Duration::from_secs(1);
    /// The maximum lease of a permit: 1 day.
    pub const MAX_LEASE: Duration = Duration::from_secs(86_400);
    /// The default lease of a permit: 10 seconds. The permits of a process that crashes come back after this time.
    pub const DEFAULT_LEASE: Duration = Duration::from_secs(10);

    /// The maximum cost of one request with [`Algorithm::SlidingWindow`]: 10,000 units. The sliding-window log has an
    /// entry for each unit, and a script that writes too many entries would block the Redis server for all other
    /// clients.
    pub const MAX_LOG_COST: u32 = 10_000;

    /// Creates a quota of `limit` requests in any time of length `window`, with [`Algorithm::SlidingWindow`]. The
    /// duration of the window is rounded up to whole microseconds.
    ///
    /// # Errors
    ///
    /// [`QuotaError`] if the limit is not from 1 to [`MAX_LIMIT`](Self::MAX_LIMIT), or if the window is not from
    /// [`MIN_WINDOW`](Self::MIN_WINDOW) to [`MAX_WINDOW`](Self::MAX_WINDOW).
    pub const fn new(limit: u32, window: Duration) -> Result<Self, QuotaError> {
        if limit == 0 || limit > Self::MAX_LIMIT {
            return Err(QuotaError::Limit);
        }
        let nanos = window.as_nanos();
        if nanos < Self::MIN_WINDOW.as_nanos() || nanos > Self::MAX_WINDOW.as_nanos() {
            return Err(QuotaError::Window);
        }
        // The maximum window has fewer than 2^45 microseconds, so the number of microseconds fits into 64 bits.
        let micros = nanos.div_ceil(1_000) as u64;
        // The greatest common divisor is at most the limit, so it fits into 32 bits.
        let common = greatest_common_divisor(micros, limit as u64) as u32;
        Ok(Self {
            parts_per_token: micros / common as u64,
            parts_per_micro: limit / common,
            common,
            capacity: limit,
            algorithm: Algorithm::SlidingWindow,
            packed: NO_LEASE,
        })
    }

    /// Creates a quota of `limit` requests in each period of the calendar, such as a day in a time zone.
    ///
    /// The count returns to 0 when the period ends in its time zone. [`window`](Self::window) returns the
    /// [usual duration](crate::CalendarUnit::usual_duration) of the period.
    ///
    #[cfg_attr(feature = "calendar", doc = "```")]
    #[cfg_attr(not(feature = "calendar"), doc = "```ignore")]
    /// # use actix_rateguard_grammar::{CalendarPeriod, CalendarUnit, Quota};
    /// let period = CalendarPeriod::new(CalendarUnit::Day, "Europe/Berlin".parse()?);
    /// let quota = Quota::calendar(1000, period)?;
    /// assert_eq!(quota, "1000/calendar day Europe/Berlin".parse()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`QuotaError::Limit`] if the limit is not from 1 to [`MAX_LIMIT`](Self::MAX_LIMIT).
    pub const fn calendar(limit: u32, period: CalendarPeriod) -> Result<Self, QuotaError> {
        match Self::new(limit, period.unit().usual_duration()) {
            Ok(quota) => {
                Ok(Self { algorithm: Algorithm::Calendar, packed: period.pack(), ..quota })
            }
            Err(error) => Err(error),
        }
    }

    /// Creates a quota that limits the number of requests in progress to `limit`. Each of these requests holds a
    /// permit.
    ///
    /// A permit expires if its holder does not renew it for the duration `lease`, for example because the process of
    /// the holder has crashed. [`DEFAULT_LEASE`](Self::DEFAULT_LEASE) suits most applications. [`window`](Self::window)
    /// returns the lease of such a quota.
    ///
    /// ```
    /// # use actix_rateguard_grammar::Quota;
    /// let quota = Quota::concurrent(5, Quota::DEFAULT_LEASE)?;
    /// assert_eq!(quota, "5 concurrent".parse()?);
    /// # Ok::<(), actix_rateguard_grammar::RateError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`QuotaError::Limit`] if the limit is not from 1 to [`MAX_LIMIT`](Self::MAX_LIMIT), and [`QuotaError::Lease`] if
    /// the lease is not from [`MIN_LEASE`](Self::MIN_LEASE) to [`MAX_LEASE`](Self::MAX_LEASE).
    pub const fn concurrent(limit: u32, lease: Duration) -> Result<Self, QuotaError> {
        match Self::new(limit, lease) {
            Ok(quota) => quota.with_algorithm(Algorithm::Concurrency),
            Err(QuotaError::Window) => Err(QuotaError::Lease),
            Err(error) => Err(error),
        }
    }

    /// Returns a quota with the same limit and window, and with this algorithm. If the algorithm is the token bucket,
    /// the burst of the new quota is equal to the limit. To change the burst, call [`with_burst`](Self::with_burst).
    ///
    /// # Errors
    ///
    /// [`QuotaError::Precision`] if the algorithm counts in parts of a token and cannot count the quota exactly.
    /// [`QuotaError::Lease`] if the algorithm is [`Algorithm::Concurrency`] and the window is not a valid lease.
    /// [`QuotaError::LeaseAlgorithm`] if the quota has a lease and the algorithm [has none](Algorithm::has_leases), and
    /// [`QuotaError::LeaseUnits`] if the lease has more units than half of the limit. [`QuotaError::Calendar`] if only
    /// one of the two algorithms is [`Algorithm::Calendar`].
    pub const fn with_algorithm(self, algorithm: Algorithm) -> Result<Self, QuotaError> {
        match (self.algorithm, algorithm) {
            (Algorithm::Calendar, Algorithm::Calendar) => return Ok(self),
            (Algorithm::Calendar, _) | (_, Algorithm::Calendar) => {
                return Err(QuotaError::Calendar);
            }
            _ => {}
        }
        let micros = self.window_micros() as u128;
        if algorithm.has_permits()
            && (micros < Self::MIN_LEASE.as_micros() || micros > Self::MAX_LEASE.as_micros())
        {
            return Err(QuotaError::Lease);
        }
        if self.lease().is_some() && !algorithm.has_leases() {
            return Err(QuotaError::LeaseAlgorithm);
        }
        Self { algorithm, capacity: self.limit(), ..self }.validate_capacity()
    }

    /// Returns a quota with the same limit and window, whose token bucket has a capacity of `burst` tokens. After a
    /// time without requests, the bucket is full and then admits `burst` requests at one moment.
    ///
    /// # Errors
    ///
    /// - [`QuotaError::BurstAlgorithm`] if the algorithm is not [`Algorithm::TokenBucket`]
    /// - [`QuotaError::Burst`] if the burst is not from 1 to [`MAX_LIMIT`](Self::MAX_LIMIT)
    /// - [`QuotaError::LeaseUnits`] if the quota has a lease with more units than half of the burst
    /// - [`QuotaError::Precision`] if the bucket cannot count the quota exactly
    pub const fn with_burst(self, burst: u32) -> Result<Self, QuotaError> {
        if !self.algorithm.has_burst() {
            return Err(QuotaError::BurstAlgorithm);
        }
        if burst == 0 || burst > Self::MAX_LIMIT {
            return Err(QuotaError::Burst);
        }
        Self { capacity: burst, ..self }.validate_capacity()
    }

    /// Returns the same quota with a lease of at most `units` units for the time `duration`. A process then takes
    /// several units of a busy key from the store at once, and admits requests with them without a further call to the
    /// store.
    ///
    /// A lease has an effect only if the counts are outside of the process. At no time are more requests admitted than
    /// without a lease, but a process may deny a request while another process has unused units, for at most this
    /// duration.
    ///
    /// ```
    /// # use actix_rateguard_grammar::{Quota, QuotaLease};
    /// let quota: Quota = "100000/minute".parse()?;
    /// let leased = quota.with_lease(50, QuotaLease::DEFAULT_DURATION)?;
    /// assert_eq!(leased, "100000/minute lease 50".parse()?);
    /// # Ok::<(), actix_rateguard_grammar::RateError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`QuotaError::LeaseAlgorithm`] if the algorithm [has no leases](Algorithm::has_leases)
    /// - [`QuotaError::LeaseUnits`] if `units` is not from 2 to 1,000, or is more than half of the
    ///   [capacity](Self::capacity)
    /// - [`QuotaError::LeaseDuration`] if `duration` is not from 100 milliseconds to 10 seconds in whole milliseconds,
    ///   or is more than a quarter of the window
    pub const fn with_lease(self, units: u32, duration: Duration) -> Result<Self, QuotaError> {
        if !self.algorithm.has_leases() {
            return Err(QuotaError::LeaseAlgorithm);
        }
        match QuotaLease::new(units, duration, self.capacity, self.window()) {
            Ok(lease) => Ok(Self { packed: lease.pack(), ..self }),
            Err(LeaseBound::Units) => Err(QuotaError::LeaseUnits),
            Err(LeaseBound::Duration) => Err(QuotaError::LeaseDuration),
        }
    }

    /// Returns the lease of the quota. `None` if each check asks the store.
    #[must_use]
    pub const fn lease(&self) -> Option<QuotaLease> {
        match self.algorithm {
            Algorithm::Calendar => None,
            _ => QuotaLease::unpack(self.packed),
        }
    }

    /// Returns the period of the calendar in which the quota counts. `None` if the quota has a window.
    #[must_use]
    pub const fn calendar_period(&self) -> Option<CalendarPeriod> {
        match self.algorithm {
            Algorithm::Calendar => Some(CalendarPeriod::unpack(self.packed)),
            _ => None,
        }
    }

    const fn validate_capacity(self) -> Result<Self, QuotaError> {
        if let Some(lease) = self.lease()
            && lease.units() > self.capacity / 2
        {
            return Err(QuotaError::LeaseUnits);
        }
        if self.algorithm.counts_parts()
            && self.parts_per_token.saturating_mul(self.capacity as u64) >= Self::MAX_DEBT
        {
            return Err(QuotaError::Precision);
        }
        Ok(self)
    }

    /// Returns the number of requests that the quota admits in a window. For a token bucket, returns the number of
    /// tokens that the bucket regains in a window. For [`Algorithm::Concurrency`], returns the number of requests that
    /// can be in progress at the same time.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.parts_per_micro * self.common
    }

    /// Returns the window, in whole microseconds. For [`Algorithm::Concurrency`], returns the lease of a permit. For
    /// [`Algorithm::Calendar`], returns the [usual duration](crate::CalendarUnit::usual_duration) of the period, which
    /// the current period may exceed.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_micros(self.window_micros())
    }

    /// Returns the window in microseconds. The number is less than 2^45.
    #[must_use]
    pub const fn window_micros(&self) -> u64 {
        self.parts_per_token * self.common as u64
    }

    /// Returns the algorithm that counts requests.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the maximum number of requests that the quota admits at one moment. For a token bucket, this is the
    /// number of tokens in a full bucket, which [`with_burst`](Self::with_burst) sets. For every other algorithm, this
    /// is the limit.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Returns the maximum cost of one request, in units. A request with a higher cost is always denied. With
    /// [`Algorithm::SlidingWindow`], the maximum cost is [`capacity`](Self::capacity) or
    /// [`MAX_LOG_COST`](Self::MAX_LOG_COST), whichever is lower. With every other algorithm, the maximum cost is the
    /// capacity.
    #[must_use]
    pub const fn max_cost(&self) -> u32 {
        if self.algorithm.is_log() && self.capacity > Self::MAX_LOG_COST {
            Self::MAX_LOG_COST
        } else {
            self.capacity
        }
    }

    /// Returns two numbers for a token bucket. The first number is the number of equal parts into which the bucket
    /// divides a token. The second number is the number of parts that the bucket regains in one microsecond. Both
    /// numbers are whole, so the bucket counts without rounding.
    #[must_use]
    pub const fn token(&self) -> (u64, u64) {
        (self.parts_per_token, self.parts_per_micro as u64)
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota")
            .field("limit", &self.limit())
            .field("window", &self.window())
            .field("algorithm", &self.algorithm)
            .field("capacity", &self.capacity)
            .field("lease", &self.lease())
            .field("calendar_period", &self.calendar_period())
            .finish()
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The error for a quota with an invalid number.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaError {
    /// The limit is not a whole number from 1 to 2147483648.
    Limit,
    /// The window is not from 1 millisecond to 365 days.
    Window,
    /// The burst is not a whole number from 1 to 2147483648.
    Burst,
    /// The quota has a burst, but its algorithm is not [`Algorithm::TokenBucket`].
    BurstAlgorithm,
    /// A token bucket cannot count the quota exactly, because a full bucket has too many parts of a token. The number
    /// of parts is the burst times the window in microseconds, divided by the greatest common divisor of the limit and
    /// that window. The number of parts must be less than 2^52.
    Precision,
    /// The quota has a calendar period and another algorithm than [`Algorithm::Calendar`], or it has this algorithm and
    /// no calendar period.
    Calendar,
    /// The lease of a permit is not from 1 second to 1 day.
    Lease,
    /// The quota has a lease, but its algorithm [has no leases](Algorithm::has_leases).
    LeaseAlgorithm,
    /// The lease of the quota is not from 2 to 1,000 units, or is more than half of the limit or of the burst.
    LeaseUnits,
    /// The duration of the quota's lease is not from 100 milliseconds to 10 seconds in whole milliseconds, or is more
    /// than a quarter of the window.
    LeaseDuration,
}

impl QuotaError {
    /// Returns the error message.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Limit => "expected a limit that is a whole number from 1 to 2147483648",
            Self::Window => "expected a window from 1 millisecond to 365 days",
            Self::Burst => "expected a burst from 1 to 2147483648",
            Self::Calendar => {
                "expected either a calendar period, as in \"1000/calendar day\", or an algorithm"
            }
            Self::Lease => "expected a lease from 1 second to 1 day",
            Self::LeaseAlgorithm => {
                "a lease requires the algorithm \"sliding_window\" or \"token_bucket\""
            }
            Self::LeaseUnits => {
                "expected a lease from 2 to 1000 units, and at most half of the limit, or of the burst of a token bucket"
            }
            Self::LeaseDuration => {
                "expected a duration of the lease from 100 milliseconds to 10 seconds, and at most a quarter of the window"
            }
            Self::BurstAlgorithm => "a burst requires the algorithm \"token_bucket\"",
            Self::Precision => {
                "a token bucket cannot count this quota exactly; use a smaller burst, or a limit that divides the window"
            }
        }
    }
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

crate::debug_as_display::debug_as_display!(QuotaError);

impl Error for QuotaError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RateError;

    #[test]
    fn range_bounds_are_valid_and_the_next_value_is_not() {
        let second = Duration::from_secs(1);
        let nanosecond = Duration::from_nanos(1);
        for (limit, window, expected) in [
            (1, second, Ok(())),
            (0, second, Err(QuotaError::Limit)),
            (Quota::MAX_LIMIT, second, Ok(())),
            (Quota::MAX_LIMIT + 1, second, Err(QuotaError::Limit)),
            (1, Quota::MIN_WINDOW, Ok(())),
            (1, Quota::MIN_WINDOW - nanosecond, Err(QuotaError::Window)),
            (1, Quota::MAX_WINDOW, Ok(())),
            (1, Quota::MAX_WINDOW + nanosecond, Err(QuotaError::Window)),
        ] {
            assert_eq!(Quota::new(limit, window).map(|_| ()), expected, "{limit} {window:?}");
        }
    }

    #[test]
    fn algorithms_that_count_parts_of_a_token_reject_inexact_quotas() {
        for (algorithm, name) in Algorithm::NAMES {
            // The limit is a prime number that does not divide the window, so a token has 31,536,000,000,000 parts.
            let quota = format!("2147483647/365d {name}").parse::<Quota>();
            let expected = match algorithm.counts_parts() {
                true => Err(RateError::Quota(QuotaError::Precision)),
                false => Ok(algorithm),
            };
            assert_eq!(quota.map(|quota| quota.algorithm()), expected, "{name}");
        }
    }

    #[test]
    fn messages_name_every_algorithm_that_they_concern() {
        let [burst, precision, lease] =
            [QuotaError::BurstAlgorithm, QuotaError::Precision, QuotaError::LeaseAlgorithm]
                .map(|it| it.to_string());
        for (algorithm, name) in Algorithm::NAMES {
            assert_eq!(lease.contains(&format!("\"{name}\"")), algorithm.has_leases(), "{lease}");
            assert_eq!(burst.contains(&format!("\"{name}\"")), algorithm.has_burst(), "{burst}");
            let is_named = precision.contains(&name.replace('_', " "));
            assert_eq!(is_named, algorithm.counts_parts(), "{name}: {precision}");
        }
    }

    #[test]
    fn lease_is_at_most_half_of_the_capacity() {
        let quota = |text: &str| text.parse::<Quota>().unwrap();
        let duration = Duration::from_millis(250);
        for (text, units, expected) in [
            ("100/second", 50, Ok(())),
            ("100/second", 51, Err(QuotaError::LeaseUnits)),
            ("100/second token_bucket burst 20", 10, Ok(())),
            ("100/second token_bucket burst 20", 11, Err(QuotaError::LeaseUnits)),
            ("100/second token_bucket burst 400", 200, Ok(())),
            ("100/second token_bucket burst 400", 201, Err(QuotaError::LeaseUnits)),
        ] {
            assert_eq!(quota(text).with_lease(units, duration).map(|_| ()), expected, "{text}");
        }
        let leased = quota("100/second token_bucket burst 400 lease 200");
        assert_eq!(leased.with_burst(399), Err(QuotaError::LeaseUnits));
        assert_eq!(leased.with_algorithm(Algorithm::SlidingWindow), Err(QuotaError::LeaseUnits));
        assert_eq!(leased.with_algorithm(Algorithm::FixedWindow), Err(QuotaError::LeaseAlgorithm));
        assert!(leased.with_burst(400).is_ok());
    }

    #[test]
    fn quota_takes_24_bytes() {
        assert_eq!(size_of::<Quota>(), 24);
    }

    #[test]
    fn window_is_rounded_up_to_microseconds() {
        let quota = Quota::new(1, Duration::from_nanos(1_000_001)).unwrap();
        assert_eq!(quota.window(), Duration::from_micros(1_001));
    }
}
