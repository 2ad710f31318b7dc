//! Reads quotas from the fields `rate`, `limit`, `window`, `algorithm`, `burst`, `lease`, `lease_for`,
//! `concurrent` and `permit_lease`.

use std::time::Duration;

use crate::{
    Algorithm, LeaseSize, Quota, QuotaError, QuotaLease, Quotas,
    located::{FieldError, Located},
    rate::RateError,
};

/// The fields that specify quotas, in a macro attribute or in a policies file. `L` is the type of a location in the
/// user's source text.
#[derive(Clone, Debug)]
pub struct QuotaFields<L> {
    /// All quotas in one text, such as `"5/second; 100/minute"`.
    pub rate: Option<Located<Quotas, L>>,
    /// The limit of a single quota that is written without the field `rate`.
    pub limit: Option<Located<u32, L>>,
    /// The window of a single quota that is written without the field `rate`.
    pub window: Option<Located<Duration, L>>,
    /// The algorithm of the quota that `limit` and `window` specify. If the quotas are in `rate`, this is the algorithm
    /// of each quota whose text names no algorithm.
    pub algorithm: Option<Located<Algorithm, L>>,
    /// The capacity of a token bucket, in tokens. This field is valid only if there is exactly one quota.
    pub burst: Option<Located<u32, L>>,
    /// The number of units that a process takes from the store at once. This field is valid only if there is exactly
    /// one quota.
    pub lease: Option<Located<LeaseSize, L>>,
    /// The time for which a process may use the units that it has taken.
    pub lease_for: Option<Located<Duration, L>>,
    /// The maximum number of requests in progress. Each of them holds a permit.
    pub concurrent: Option<Located<u32, L>>,
    /// The duration after which a permit expires if its holder does not renew it.
    pub permit_lease: Option<Located<Duration, L>>,
}

/// The error message for a field `burst` without the field `algorithm = "token_bucket"`.
pub const BURST_REQUIRES_TOKEN_BUCKET: &str = "`burst` requires `algorithm = \"token_bucket\"`";

/// The parts of error messages that differ between the macro attribute and a policies file.
#[derive(Clone, Copy, Debug)]
pub struct QuotaExamples {
    /// An example of the field `window`, such as `window = 60`.
    pub window: &'static str,
    /// The error message for a limit that specifies no quotas. The message contains the valid forms.
    pub no_quotas: &'static str,
}

// `#[derive(Default)]` would require `L: Default`, but the compiler's `Span` does not implement `Default`.
impl<L> Default for QuotaFields<L> {
    fn default() -> Self {
        Self {
            rate: None,
            limit: None,
            window: None,
            algorithm: None,
            burst: None,
            lease: None,
            lease_for: None,
            concurrent: None,
            permit_lease: None,
        }
    }
}

impl<L: Copy> QuotaFields<L> {
    /// Returns the names and the locations of the fields that are present.
    pub fn present(&self) -> impl Iterator<Item = (&'static str, L)> {
        [
            ("limit", self.limit.map(|it| it.location)),
            ("window", self.window.map(|it| it.location)),
            ("rate", self.rate.as_ref().map(|it| it.location)),
            ("algorithm", self.algorithm.map(|it| it.location)),
            ("burst", self.burst.map(|it| it.location)),
            ("lease", self.lease.map(|it| it.location)),
            ("lease_for", self.lease_for.map(|it| it.location)),
            ("concurrent", self.concurrent.map(|it| it.location)),
            ("permit_lease", self.permit_lease.map(|it| it.location)),
        ]
        .into_iter()
        .filter_map(|(name, location)| Some((name, location?)))
    }

    /// Returns the quotas that the fields specify together.
    ///
    /// # Errors
    ///
    /// [`FieldError`] in these cases:
    ///
    /// - The fields contain neither `rate` alone, nor `limit` with `window`, nor `concurrent`.
    /// - The field `algorithm`, `burst`, `lease`, `lease_for` or `permit_lease` is not valid for the quotas.
    pub fn quotas(&self, examples: QuotaExamples) -> Result<Quotas, FieldError<L>> {
        let QuotaExamples { window: window_example, no_quotas } = examples;
        let concurrency = self.concurrency()?;
        let quotas: Quotas = match (&self.rate, self.limit, self.window) {
            (Some(rate), None, None) => rate.value.clone(),
            (None, Some(limit), Some(window)) => {
                let quota = Quota::new(limit.value, window.value).map_err(|error| {
                    let is_limit = error == QuotaError::Limit;
                    let location = if is_limit { limit.location } else { window.location };
                    FieldError::at(location, error)
                })?;
                quota.into()
            }
            (Some(_), Some(Located { location, .. }), _)
            | (Some(_), None, Some(Located { location, .. })) => {
                return Err(FieldError::at(
                    location,
                    "expected either `rate`, or `limit` and `window`, found both",
                ));
            }
            (None, Some(limit), None) => {
                let message = format!("`limit` requires `window`, such as {window_example}");
                return Err(FieldError::at(limit.location, message));
            }
            (None, None, Some(window)) => {
                return Err(FieldError::at(
                    window.location,
                    "`window` requires `limit`, such as `limit = 5`",
                ));
            }
            (None, None, None) => {
                if let Some(quota) = concurrency {
                    return self.with_lease(self.with_algorithm_and_burst(&quota.into())?);
                }
                return Err(FieldError { location: None, message: no_quotas.to_owned() });
            }
        };
        let rates = self.with_algorithm_and_burst(&quotas)?;
        let Some(concurrency) = concurrency else { return self.with_lease(rates) };
        // The quota for requests in progress is the last one. So if it is added to a limit, the rates retain their
        // positions, and therefore their counts.
        let quotas = Quotas::new(rates.iter().copied().chain([concurrency]));
        self.with_lease(quotas.map_err(|error| FieldError {
            location: self.concurrent.map(|it| it.location),
            message: error.to_string(),
        })?)
    }

    /// Returns the quotas after the fields `lease` and `lease_for` have been applied to them.
    fn with_lease(&self, quotas: Quotas) -> Result<Quotas, FieldError<L>> {
        let Some(lease) = self.lease else {
            return match self.lease_for {
                None => Ok(quotas),
                Some(Located { location, .. }) => Err(FieldError::at(
                    location,
                    "`lease_for` requires `lease`, such as `lease = 50`",
                )),
            };
        };
        let [quota] = quotas.as_slice() else {
            return Err(FieldError::at(lease.location, RateError::LeaseOfSeveral));
        };
        let duration = self.lease_for.map_or_else(
            || QuotaLease::default_duration(quota.window()),
            |duration| duration.value,
        );
        let leased = quota.with_lease(lease.value.units(quota.capacity()), duration);
        leased.map(Quotas::from).map_err(|error| {
            let duration = self.lease_for.filter(|_| error == QuotaError::LeaseDuration);
            FieldError::at(duration.map_or(lease.location, |it| it.location), error)
        })
    }

    /// Returns the quota that the fields `concurrent` and `permit_lease` specify. The result is `None` if both are
    /// absent.
    ///
    /// # Errors
    ///
    /// [`FieldError`] if a value is out of range, or if `permit_lease` is present without a quota for requests in
    /// progress.
    pub fn concurrency(&self) -> Result<Option<Quota>, FieldError<L>> {
        let Some(concurrent) = self.concurrent else {
            return match self.permit_lease {
                None => Ok(None),
                Some(lease) => Err(FieldError::at(
                    lease.location,
                    "`permit_lease` requires `concurrent`, such as `concurrent = 5`",
                )),
            };
        };
        let lease = self.permit_lease.map_or(Quota::DEFAULT_LEASE, |lease| lease.value);
        let quota = Quota::concurrent(concurrent.value, lease).map_err(|error| {
            let lease = self.permit_lease.filter(|_| error == QuotaError::Lease);
            FieldError::at(lease.map_or(concurrent.location, |lease| lease.location), error)
        })?;
        Ok(Some(quota))
    }

    /// Returns the quotas after the fields `algorithm` and `burst` have been applied to them.
    fn with_algorithm_and_burst(&self, quotas: &Quotas) -> Result<Quotas, FieldError<L>> {
        let mut quotas: Vec<Quota> = quotas.iter().copied().collect();
        if let Some(Located { value, location }) = self.algorithm {
            if !quotas.iter().any(is_rate) {
                return Err(FieldError::at(
                    location,
                    "`algorithm` requires a rate, such as `rate = \"5/minute\"`",
                ));
            }
            for quota in quotas.iter_mut().filter(|quota| is_rate(quota)) {
                match quota.algorithm() {
                    // The quota has the default algorithm, so its text probably names no algorithm. The quota does
                    // not store its text, so the field `algorithm` also replaces a default algorithm that the text
                    // names.
                    Algorithm::SlidingWindow => {
                        *quota = quota
                            .with_algorithm(value)
                            .map_err(|error| FieldError::at(location, error))?;
                    }
                    of_rate if of_rate == value => {}
                    of_rate => {
                        let message = format!(
                            "`algorithm` conflicts with `{of_rate}` in `rate`; remove one of them"
                        );
                        return Err(FieldError::at(location, message));
                    }
                }
            }
        }
        if let Some(Located { value, location }) = self.burst {
            let mut rates: Vec<_> = quotas.iter_mut().filter(|quota| is_rate(quota)).collect();
            let [quota] = &mut rates[..] else {
                let message = "`burst` requires a single quota; in a list, write the burst after its quota: \"5/second token_bucket burst 20; 100/minute\"";
                return Err(FieldError::at(location, message));
            };
            **quota = quota.with_burst(value).map_err(|error| match error {
                QuotaError::BurstAlgorithm => FieldError::at(location, BURST_REQUIRES_TOKEN_BUCKET),
                error => FieldError::at(location, error),
            })?;
        }
        Quotas::new(quotas)
            .map_err(|error| FieldError { location: None, message: error.to_string() })
    }
}

/// Returns whether a quota limits a rate, and not the number of requests in progress.
fn is_rate(quota: &Quota) -> bool {
    !quota.algorithm().has_permits()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLES: QuotaExamples = QuotaExamples { window: "W", no_quotas: "N" };

    fn at<T>(value: T, location: u8) -> Option<Located<T, u8>> {
        Some(Located { value, location })
    }

    /// Returns the quotas for these values of the fields. The fields have the locations 1 to 5, in the order of the
    /// parameters.
    fn quotas(
        rate: Option<&str>,
        limit: Option<u32>,
        window: Option<u64>,
        algorithm: Option<Algorithm>,
        burst: Option<u32>,
    ) -> Result<String, (Option<u8>, String)> {
        let fields = QuotaFields {
            rate: rate.and_then(|rate| at(rate.parse().unwrap(), 1)),
            limit: limit.and_then(|limit| at(limit, 2)),
            window: window.and_then(|window| at(Duration::from_secs(window), 3)),
            algorithm: algorithm.and_then(|algorithm| at(algorithm, 4)),
            burst: burst.and_then(|burst| at(burst, 5)),
            ..QuotaFields::default()
        };
        let quotas = fields.quotas(EXAMPLES);
        quotas.map(|it| it.to_string()).map_err(|error| (error.location, error.message))
    }

    #[test]
    fn valid_fields_give_the_quotas_of_their_notation() {
        let bucket = Some(Algorithm::TokenBucket);
        let fixed = Some(Algorithm::FixedWindow);
        for (result, text) in [
            (quotas(Some("5/s; 9/m"), None, None, None, None), "5/second; 9/minute"),
            (quotas(None, Some(5), Some(60), None, None), "5/minute"),
            (quotas(None, Some(5), Some(60), bucket, Some(9)), "5/minute token_bucket burst 9"),
            (quotas(Some("5/s fixed_window"), None, None, fixed, None), "5/second fixed_window"),
            (
                quotas(Some("5/s; 9/m fixed_window"), None, None, fixed, None),
                "5/second fixed_window; 9/minute fixed_window",
            ),
        ] {
            assert_eq!(result.as_deref(), Ok(text));
        }
    }

    #[test]
    fn invalid_fields_are_reported_at_the_wrong_field() {
        let bucket = Some(Algorithm::TokenBucket);
        for (result, location, part) in [
            (quotas(None, None, None, bucket, None), None, "N"),
            (quotas(None, Some(5), None, None, None), Some(2), "such as W"),
            (quotas(None, None, Some(60), None, None), Some(3), "requires `limit`"),
            (quotas(None, Some(0), Some(60), None, None), Some(2), "expected a limit"),
            (quotas(None, Some(5), Some(0), None, None), Some(3), "expected a window"),
            (quotas(Some("5/s"), Some(5), Some(1), None, None), Some(2), "found both"),
            (quotas(Some("5/s"), None, Some(1), None, None), Some(3), "found both"),
            (
                quotas(Some("5/s fixed_window"), None, None, bucket, None),
                Some(4),
                "conflicts with `fixed_window`",
            ),
            (quotas(None, Some(1 << 31), Some(31_536_000), bucket, None), Some(4), "exactly"),
            (
                quotas(Some("5/s"), None, None, None, Some(9)),
                Some(5),
                "`burst` requires `algorithm",
            ),
            (quotas(Some("5/s; 9/m"), None, None, bucket, Some(9)), Some(5), "a single quota"),
        ] {
            let (found, message) = result.unwrap_err();
            assert_eq!(found, location, "{message}");
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn lease_is_added_to_a_single_rate() {
        let fields = |rate: &str, lease, millis: Option<u64>| QuotaFields {
            rate: at(rate.parse().unwrap(), 1),
            lease: at(lease, 2),
            lease_for: Option::and_then(millis, |it| at(Duration::from_millis(it), 3)),
            ..QuotaFields::default()
        };
        let (units, percent) = (LeaseSize::Units(50), LeaseSize::Percent(5));
        for (fields, text) in [
            (fields("1000/minute", units, None), "1000/minute lease 50"),
            (
                fields("1000/minute", percent, Some(200)),
                "1000/minute lease 50 for 200 milliseconds",
            ),
        ] {
            assert_eq!(fields.quotas(EXAMPLES).unwrap().to_string(), text);
        }
        let bucket = |burst| QuotaFields {
            algorithm: at(Algorithm::TokenBucket, 4),
            burst: at(burst, 5),
            ..fields("1000/minute", percent, None)
        };
        for (burst, text) in [
            (1_000, "1000/minute token_bucket lease 50"),
            (200, "1000/minute token_bucket burst 200 lease 10"),
        ] {
            assert_eq!(bucket(burst).quotas(EXAMPLES).unwrap().to_string(), text);
        }
        let only_duration = QuotaFields { lease: None, ..fields("9/minute", units, Some(200)) };
        for (fields, location, part) in [
            (fields("99/minute", units, None), 2, "expected a lease from 2 to 1000 units"),
            (fields("20/minute", percent, None), 2, "expected a lease from 2 to 1000 units"),
            (bucket(20), 2, "or of the burst of a token bucket"),
            (fields("1000/minute", units, Some(50)), 3, "from 100 milliseconds to 10 seconds"),
            (fields("1000/minute; 9/second", units, None), 2, "requires a single quota"),
            (fields("1000/minute fixed_window", units, None), 2, "requires the algorithm"),
            (fields("1000 concurrent", units, None), 2, "requires the algorithm"),
            (only_duration, 3, "`lease_for` requires `lease`"),
        ] {
            let error = fields.quotas(EXAMPLES).unwrap_err();
            assert_eq!(error.location, Some(location), "{}", error.message);
            assert!(error.message.contains(part), "{}", error.message);
        }
    }

    #[test]
    fn limit_on_requests_in_progress_is_added_after_the_rates() {
        let fields = |rate: Option<&str>, concurrent, lease| QuotaFields {
            rate: rate.and_then(|rate| at(rate.parse().unwrap(), 1)),
            concurrent: at(concurrent, 2),
            permit_lease: Option::and_then(lease, |seconds| at(Duration::from_secs(seconds), 3)),
            ..QuotaFields::default()
        };
        for (rate, lease, text) in [
            (None, None, "5 concurrent"),
            (None, Some(60), "5 concurrent lease minute"),
            (Some("9/second"), Some(10), "9/second; 5 concurrent"),
        ] {
            let quotas = fields(rate, 5, lease).quotas(EXAMPLES).unwrap();
            assert_eq!(quotas.to_string(), text);
        }
        let with_algorithm =
            QuotaFields { algorithm: at(Algorithm::FixedWindow, 4), ..fields(None, 5, None) };
        let only_lease = QuotaFields { concurrent: None, ..fields(Some("9/second"), 5, Some(60)) };
        for (fields, location, part) in [
            (fields(None, 0, None), 2, "expected a limit"),
            (fields(None, 5, Some(0)), 3, "expected a lease from 1 second"),
            (fields(Some("3 concurrent"), 5, None), 2, "at most one quota"),
            (with_algorithm, 4, "`algorithm` requires a rate"),
            (only_lease, 3, "`permit_lease` requires `concurrent`"),
        ] {
            let error = fields.quotas(EXAMPLES).unwrap_err();
            assert_eq!(error.location, Some(location), "{}", error.message);
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
}
