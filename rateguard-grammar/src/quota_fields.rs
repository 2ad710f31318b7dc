//! The fields that specify quotas: `rate`, or `limit` and `window`, with `algorithm` and `burst`.

use std::time::Duration;

use crate::{
    Algorithm, Quota, QuotaError, Quotas,
    located::{FieldError, Located},
};

/// The fields of an attribute or of a policy in a file that specify its quotas. `L` is a location in the source.
#[derive(Clone, Debug)]
pub struct QuotaFields<L> {
    /// All quotas in one text.
    pub rate: Option<Located<Quotas, L>>,
    /// The limit of the only quota.
    pub limit: Option<Located<u32, L>>,
    /// The window of the only quota.
    pub window: Option<Located<Duration, L>>,
    /// The algorithm of all quotas whose text in `rate` names no algorithm.
    pub algorithm: Option<Located<Algorithm, L>>,
    /// The capacity of the only quota, in tokens.
    pub burst: Option<Located<u32, L>>,
}

/// The parts of error messages that differ between attributes and files.
#[derive(Clone, Copy, Debug)]
pub struct QuotaExamples {
    /// An example of a window, such as `window = 60`.
    pub window: &'static str,
    /// The message for a limit without quotas. It names the valid forms.
    pub no_quotas: &'static str,
}

// A derived implementation would require `L: Default`, which a span is not.
impl<L> Default for QuotaFields<L> {
    fn default() -> Self {
        Self { rate: None, limit: None, window: None, algorithm: None, burst: None }
    }
}

impl<L: Copy> QuotaFields<L> {
    /// The names of the fields that are present, with their locations.
    pub fn present(&self) -> impl Iterator<Item = (&'static str, L)> {
        [
            ("limit", self.limit.map(|it| it.location)),
            ("window", self.window.map(|it| it.location)),
            ("rate", self.rate.as_ref().map(|it| it.location)),
            ("algorithm", self.algorithm.map(|it| it.location)),
            ("burst", self.burst.map(|it| it.location)),
        ]
        .into_iter()
        .filter_map(|(name, location)| Some((name, location?)))
    }

    /// Returns the quotas that the fields specify.
    ///
    /// # Errors
    ///
    /// [`FieldError`] unless there is either `rate`, or `limit` and `window`, and the other fields can be applied to
    /// these quotas.
    pub fn quotas(&self, examples: QuotaExamples) -> Result<Quotas, FieldError<L>> {
        let QuotaExamples { window: window_example, no_quotas } = examples;
        let quotas = match (&self.rate, self.limit, self.window) {
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
                return Err(FieldError { location: None, message: no_quotas.to_owned() });
            }
        };
        self.with_algorithm_and_burst(&quotas)
    }

    /// Returns the quotas, changed by the separate fields `algorithm` and `burst`.
    fn with_algorithm_and_burst(&self, quotas: &Quotas) -> Result<Quotas, FieldError<L>> {
        let mut quotas: Vec<Quota> = quotas.iter().copied().collect();
        if let Some(Located { value, location }) = self.algorithm {
            for quota in &mut quotas {
                match quota.algorithm() {
                    // This is the default algorithm. A quota does not store whether its notation named an algorithm, so
                    // this field can replace it.
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
            let [quota] = &mut quotas[..] else {
                let message = "`burst` requires a single quota; in a list, write the burst after its quota: \"5/second token_bucket burst 20; 100/minute\"";
                return Err(FieldError::at(location, message));
            };
            *quota = quota.with_burst(value).map_err(|error| FieldError::at(location, error))?;
        }
        Quotas::new(quotas)
            .map_err(|error| FieldError { location: None, message: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLES: QuotaExamples = QuotaExamples { window: "W", no_quotas: "N" };

    fn at<T>(value: T, location: u8) -> Option<Located<T, u8>> {
        Some(Located { value, location })
    }

    /// The fields `rate`, `limit`, `window`, `algorithm` and `burst`, with the locations 1 to 5.
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
            (quotas(Some("5/s"), None, None, None, Some(9)), Some(5), "\"token_bucket\""),
            (quotas(Some("5/s; 9/m"), None, None, bucket, Some(9)), Some(5), "a single quota"),
        ] {
            let (found, message) = result.unwrap_err();
            assert_eq!(found, location, "{message}");
            assert!(message.contains(part), "{message}");
        }
    }
}
