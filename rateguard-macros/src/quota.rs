//! Combines the arguments that form quotas. Their numbers are literals or constant expressions.

use std::time::Duration;

use actix_rateguard_grammar::{
    Algorithm, BURST_REQUIRES_TOKEN_BUCKET, LeaseSize, Quota, QuotaExamples, QuotaFields, Quotas,
};
use proc_macro2::Span;

use crate::{
    error::{Located, at_field, error_at},
    values::Number,
};

/// The parts of messages about quotas that differ between the macro attribute and a policies file.
pub(crate) const EXAMPLES: QuotaExamples = QuotaExamples {
    window: "`window = 60` (seconds)",
    no_quotas: "expected one of `rate = \"5/minute\"`, `limit = 5, window = 60`, `concurrent = 5`, `plan = a_function`, `policy = \"search\"`",
};

/// The arguments that form quotas, as far as they have been parsed.
#[derive(Default)]
pub(crate) struct QuotaArgs {
    pub(crate) rate: Option<Located<Quotas>>,
    pub(crate) limit: Option<Located<Number<u32>>>,
    pub(crate) window: Option<Located<Number<Duration>>>,
    pub(crate) algorithm: Option<Located<Algorithm>>,
    pub(crate) burst: Option<Located<Number<u32>>>,
    pub(crate) lease: Option<Located<LeaseSize>>,
    pub(crate) lease_for: Option<Located<Duration>>,
    pub(crate) concurrent: Option<Located<u32>>,
    pub(crate) permit_lease: Option<Located<Duration>>,
}

/// A quota in which at least one number is a constant expression. The compiler validates the quota.
pub(crate) struct ConstantQuota {
    pub(crate) limit: Number<u32>,
    pub(crate) window: Number<Duration>,
    pub(crate) algorithm: Algorithm,
    pub(crate) burst: Option<Number<u32>>,
    /// The quota for requests in progress, which is a literal.
    pub(crate) concurrency: Option<Quota>,
}

impl QuotaArgs {
    /// Returns the arguments in the form that the macro attribute shares with policies files. The values of constant
    /// expressions are unknown, so each has a valid placeholder.
    pub(crate) fn fields(&self) -> QuotaFields<Span> {
        QuotaFields {
            rate: self.rate.clone(),
            limit: self.limit.as_ref().map(|it| literal_or(it, 1)),
            window: self.window.as_ref().map(|it| literal_or(it, Duration::from_secs(1))),
            algorithm: self.algorithm,
            burst: self.burst.as_ref().map(|it| literal_or(it, 1)),
            lease: self.lease,
            lease_for: self.lease_for,
            concurrent: self.concurrent,
            permit_lease: self.permit_lease,
        }
    }

    /// Returns the quota if one of its numbers is a constant expression, and `None` if all numbers are literals.
    ///
    /// # Errors
    ///
    /// The arguments do not form a quota.
    pub(crate) fn constant(&self) -> syn::Result<Option<ConstantQuota>> {
        let is_constant = is_constant(self.limit.as_ref())
            || is_constant(self.window.as_ref())
            || is_constant(self.burst.as_ref());
        if !is_constant {
            return Ok(None);
        }
        if let Some(lease) = &self.lease {
            return Err(error_at(
                lease.location,
                "`lease` requires literals for `limit` and `window`, because its bounds depend on them",
            ));
        }
        let numbers = QuotaFields { algorithm: None, burst: None, ..self.fields() };
        numbers.quotas(EXAMPLES).map_err(at_field)?;
        let (Some(limit), Some(window)) = (&self.limit, &self.window) else {
            return Err(error_at(
                self.burst.as_ref().map_or_else(Span::call_site, |burst| burst.location),
                "expected a literal, because `rate` is one; for a constant burst, use `limit` and `window`",
            ));
        };
        let algorithm = self.algorithm.map_or_else(Algorithm::default, |it| it.value);
        if let Some(burst) = self.burst.as_ref().filter(|_| !algorithm.has_burst()) {
            return Err(error_at(burst.location, BURST_REQUIRES_TOKEN_BUCKET));
        }
        Ok(Some(ConstantQuota {
            limit: limit.value.clone(),
            window: window.value.clone(),
            algorithm,
            burst: self.burst.as_ref().map(|burst| burst.value.clone()),
            concurrency: self.fields().concurrency().map_err(at_field)?,
        }))
    }
}

impl ConstantQuota {
    /// Returns the quotas with a placeholder for the quota that the compiler validates. `None` if there is no quota for
    /// requests in progress.
    pub(crate) fn with_placeholder(&self) -> Option<Quotas> {
        let placeholder = Quota::new(1, Duration::from_secs(1)).ok()?;
        Quotas::new([placeholder, self.concurrency?]).ok()
    }
}

fn is_constant<T>(number: Option<&Located<Number<T>>>) -> bool {
    number.is_some_and(|it| matches!(it.value, Number::Constant(_)))
}

/// Returns the value of a literal, or `placeholder` for a constant expression.
fn literal_or<T: Copy>(number: &Located<Number<T>>, placeholder: T) -> Located<T> {
    let value = match number.value {
        Number::Literal(value) => value,
        Number::Constant(_) => placeholder,
    };
    Located { value, location: number.location }
}
