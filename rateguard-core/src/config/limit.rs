//! `[policies.NAME]`: the quotas and the other settings of a policy.

use std::{sync::Arc, time::Duration};

use actix_rateguard_grammar::{
    Algorithm, Ban, Count, KeyNotation, Methods, MissingKey, OnError, Quota, QuotaError, Quotas,
    check_name,
};
use toml::{Spanned, de::DeString};

use super::{
    diagnostics::Diagnostics,
    fields::{Located, Reader, Value, read},
    shadow::{ShadowValue, rollout, shadow, shadow_spec},
    values::{duration, integer_u32, parse, parse_with, table},
};
use crate::{Policy, guard::RouteOverrides, key::KeyRecipe};

/// A policy of the file.
pub(super) struct FilePolicy {
    pub(super) policy: Policy,
    pub(super) overrides: RouteOverrides,
    /// The byte offset of the policy's name.
    pub(super) offset: usize,
}

/// The fields that are parsed so far.
#[derive(Default)]
struct ParsedPolicy {
    rate: Option<Located<Quotas>>,
    limit: Option<Located<u32>>,
    window: Option<Located<Duration>>,
    algorithm: Option<Located<Algorithm>>,
    burst: Option<Located<u32>>,
    key: Option<Located<Arc<dyn KeyRecipe>>>,
    missing: Option<Located<MissingKey>>,
    cost: Option<Located<u32>>,
    count: Option<Located<Count>>,
    methods: Option<Located<Methods>>,
    ban: Option<Located<Ban>>,
    shadow: Option<Located<ShadowValue>>,
    rollout: Option<Located<u32>>,
    on_error: Option<Located<OnError>>,
}

const FIELDS: &[(&str, Reader<ParsedPolicy>)] = &[
    ("rate", |to, value, diagnostics| {
        const EXPECTED: &str = "expected a rate in quotes, such as \"5/minute\"";
        to.rate = parse(value, EXPECTED, diagnostics);
    }),
    ("limit", |to, value, diagnostics| {
        to.limit = integer_u32(value, 1..=Quota::MAX_LIMIT, QuotaError::Limit, diagnostics);
    }),
    ("window", |to, value, diagnostics| {
        let range = Quota::MIN_WINDOW..=Quota::MAX_WINDOW;
        to.window = duration(value, range, QuotaError::Window, diagnostics);
    }),
    ("algorithm", |to, value, diagnostics| {
        const EXPECTED: &str = "expected an algorithm in quotes, such as \"token_bucket\"";
        to.algorithm = parse(value, EXPECTED, diagnostics);
    }),
    ("burst", |to, value, diagnostics| {
        to.burst = integer_u32(value, 1..=Quota::MAX_LIMIT, QuotaError::Burst, diagnostics);
    }),
    ("key", |to, value, diagnostics| to.key = key(value, diagnostics)),
    ("missing_key", |to, value, diagnostics| {
        const EXPECTED: &str = "expected \"ip\", \"deny\" or \"skip\", in quotes";
        to.missing = parse(value, EXPECTED, diagnostics);
    }),
    ("cost", |to, value, diagnostics| {
        const EXPECTED: &str = "expected a cost that is a whole number of at least 1";
        to.cost = integer_u32(value, 1..=u32::MAX, EXPECTED, diagnostics);
    }),
    ("count", |to, value, diagnostics| {
        let expected = format!("expected one of {}, in quotes", Count::FORMS);
        to.count = parse(value, &expected, diagnostics);
    }),
    ("methods", |to, value, diagnostics| {
        const EXPECTED: &str = "expected methods in quotes, such as \"POST, PUT\"";
        to.methods = parse(value, EXPECTED, diagnostics);
    }),
    ("ban", |to, value, diagnostics| {
        const EXPECTED: &str = "expected a ban in quotes, such as \"10/hour for 15m up to 1d\"";
        to.ban = parse(value, EXPECTED, diagnostics);
    }),
    ("shadow", |to, value, diagnostics| to.shadow = shadow(value, diagnostics)),
    ("rollout", |to, value, diagnostics| to.rollout = rollout(value, diagnostics)),
    ("on_error", |to, value, diagnostics| to.on_error = on_error(value, diagnostics)),
];

pub(super) fn on_error(
    value: &Value<'_>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<OnError>> {
    const EXPECTED: &str = "expected \"open\", \"closed\" or \"local\", in quotes";
    parse(value, EXPECTED, diagnostics)
}

/// Parses the notation of a built-in key.
pub(super) fn key(
    value: &Value<'_>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<Arc<dyn KeyRecipe>>> {
    let recipe = diagnostics.key_recipes;
    let expected = format!("expected one of {}, in quotes", KeyNotation::FORMS);
    parse_with(value, &expected, diagnostics, |text| {
        let notation: KeyNotation = text.parse().map_err(|error| format!("{error}"))?;
        recipe(&notation)
    })
}

/// Parses a policy. `None` if the policy has errors.
pub(super) fn policy(
    name: &Spanned<DeString<'_>>,
    value: &Value<'_>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<FilePolicy> {
    const EXPECTED: &str =
        "expected a table, such as `[policies.login]` with `rate = \"5/minute\"`";
    let offset = name.span().start;
    let count = diagnostics.len();
    if let Err(error) = check_name(name.get_ref()) {
        diagnostics.add(offset, error);
    }
    let table = table(value, EXPECTED, diagnostics)?;
    let mut parsed = ParsedPolicy::default();
    let count_before_fields = diagnostics.len();
    read(&mut parsed, FIELDS, table, diagnostics);
    let quotas = match parsed.quotas() {
        Ok(quotas) => quotas,
        // An invalid field is reported already, so it must not be reported as missing, too.
        Err(_) if diagnostics.len() > count_before_fields => return None,
        Err((error_offset, message)) => {
            diagnostics.add(error_offset.unwrap_or(offset), message);
            return None;
        }
    };
    let is_complete = diagnostics.len() == count_before_fields;
    let shadow = shadow_spec(parsed.shadow, parsed.rollout, is_complete, diagnostics);
    let mut policy = Policy::new(name.get_ref().clone().into_owned(), quotas).ok()?;
    policy = policy.with_ban(parsed.ban.map(|ban| ban.value)).with_shadow_spec(shadow);
    if let Some(cost) = &parsed.cost
        && cost.value > policy.max_cost()
    {
        let (max, cost_value) = (policy.max_cost(), cost.value);
        diagnostics.add(
            cost.offset,
            format!(
                "expected a cost of at most {max}, the maximum of the quotas, found {cost_value}"
            ),
        );
    }
    if diagnostics.len() > count {
        return None;
    }
    if let Some(on_error) = parsed.on_error {
        policy = policy.on_error(on_error.value);
    }
    let overrides = RouteOverrides {
        key: parsed.key.map(|it| it.value),
        missing: parsed.missing.map(|it| it.value),
        cost: parsed.cost.map(|it| it.value),
        count: parsed.count.map(|it| it.value),
        methods: parsed.methods.map(|it| it.value),
    };
    Some(FilePolicy { policy, overrides, offset })
}

/// The offset of an error, or `None` if it concerns the whole policy, and its message.
type LocatedError = (Option<usize>, String);

impl ParsedPolicy {
    /// Returns the quotas. The policy must have either `rate`, or `limit` and `window`.
    fn quotas(&self) -> Result<Quotas, LocatedError> {
        let error = |offset: usize, message: &str| Err((Some(offset), message.to_owned()));
        let quotas = match (&self.rate, &self.limit, &self.window) {
            (Some(rate), None, None) => rate.value.clone(),
            (None, Some(limit), Some(window)) => Quota::new(limit.value, window.value)
                .map(Quotas::from)
                .map_err(|error| (Some(limit.offset), error.to_string()))?,
            (Some(_), Some(Located { offset, .. }), _)
            | (Some(_), None, Some(Located { offset, .. })) => {
                return error(
                    *offset,
                    "expected either `rate`, or `limit` and `window`, found both",
                );
            }
            (None, Some(limit), None) => {
                return error(limit.offset, "`limit` requires `window`, such as `window = \"1m\"`");
            }
            (None, None, Some(window)) => {
                return error(window.offset, "`window` requires `limit`, such as `limit = 5`");
            }
            (None, None, None) => {
                let message = "expected `rate = \"5/minute\"`, or `limit = 5` and `window = \"1m\"`, found neither";
                return Err((None, message.to_owned()));
            }
        };
        self.with_algorithm_and_burst(quotas)
    }

    /// Returns the quotas, changed by the separate fields `algorithm` and `burst`.
    fn with_algorithm_and_burst(&self, quotas: Quotas) -> Result<Quotas, LocatedError> {
        let mut quotas: Vec<Quota> = quotas.iter().copied().collect();
        if let Some(Located { value, offset }) = self.algorithm {
            for quota in &mut quotas {
                match quota.algorithm() {
                    // This is the default algorithm. A quota does not store whether its notation named an algorithm, so
                    // this field can replace it.
                    Algorithm::SlidingWindow => {
                        let changed = quota.with_algorithm(value);
                        *quota = changed.map_err(|error| (Some(offset), error.to_string()))?;
                    }
                    of_rate if of_rate == value => {}
                    of_rate => {
                        let message = format!(
                            "`algorithm` conflicts with `{of_rate}` in `rate`; remove one of them"
                        );
                        return Err((Some(offset), message));
                    }
                }
            }
        }
        if let Some(Located { value, offset }) = self.burst {
            let [quota] = &mut quotas[..] else {
                let message = "`burst` requires a single quota; in a list, write the burst after its quota: \"5/second token_bucket burst 20; 100/minute\"";
                return Err((Some(offset), message.to_owned()));
            };
            let changed = quota.with_burst(value);
            *quota = changed.map_err(|error| (Some(offset), error.to_string()))?;
        }
        Quotas::new(quotas).map_err(|error| (None, error.to_string()))
    }
}
