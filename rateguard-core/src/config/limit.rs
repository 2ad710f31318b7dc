//! Parses the tables `[policies.NAME]`, which have the quotas and the other settings of a policy.

use std::{sync::Arc, time::Duration};

use actix_rateguard_grammar::{
    Ban, Count, EXPECTED_COST, EXPECTED_HEADERS, EXPECTED_PERMISSIVE, KeyNotation, LeaseSize,
    Methods, MissingKey, Notation, OnError, Quota, QuotaError, QuotaExamples, QuotaFields,
    QuotaLease, ShadowFields, Wait, check_concurrency, check_cost, check_lease, check_name,
    check_wait,
};
use toml::{Spanned, de::DeString};

use super::{
    diagnostics::Diagnostics,
    fields::{Located, Reader, Value, read},
    values::{boolean, duration, integer_u32, parse, parse_with, table},
};
use crate::{Policy, guard::RouteOverrides, key::KeyRecipe};

/// A policy that is defined in the file.
pub(super) struct FilePolicy {
    pub(super) policy: Policy,
    pub(super) overrides: RouteOverrides,
    /// The byte offset of the policy's name in the file.
    pub(super) offset: usize,
}

/// The fields of a policy that have been parsed until now.
#[derive(Default)]
struct ParsedPolicy {
    quota: QuotaFields<usize>,
    key: Option<Located<Arc<dyn KeyRecipe>>>,
    missing: Option<Located<MissingKey>>,
    cost: Option<Located<u32>>,
    count: Option<Located<Count>>,
    methods: Option<Located<Methods>>,
    headers: Option<Located<bool>>,
    permissive: Option<Located<bool>>,
    wait: Option<Located<Duration>>,
    ban: Option<Located<Ban>>,
    shadow: ShadowFields<usize>,
    on_error: Option<Located<OnError>>,
}

const FIELDS: &[(&str, Reader<ParsedPolicy>)] = &[
    ("rate", |to, value, diagnostics| to.quota.rate = parse(value, diagnostics)),
    ("limit", |to, value, diagnostics| {
        to.quota.limit = integer_u32(value, 1..=Quota::MAX_LIMIT, QuotaError::Limit, diagnostics);
    }),
    ("window", |to, value, diagnostics| {
        let range = Quota::MIN_WINDOW..=Quota::MAX_WINDOW;
        let expected = format_args!("{}, such as \"1m\"", QuotaError::Window);
        to.quota.window = duration(value, range, expected, diagnostics);
    }),
    ("algorithm", |to, value, diagnostics| to.quota.algorithm = parse(value, diagnostics)),
    ("burst", |to, value, diagnostics| {
        to.quota.burst = integer_u32(value, 1..=Quota::MAX_LIMIT, QuotaError::Burst, diagnostics);
    }),
    ("lease", |to, value, diagnostics| to.quota.lease = lease(value, diagnostics)),
    ("lease_for", |to, value, diagnostics| {
        let range = QuotaLease::MIN_DURATION..=QuotaLease::MAX_DURATION;
        let expected = format_args!("{}, such as \"1s\"", QuotaError::LeaseDuration);
        to.quota.lease_for = duration(value, range, expected, diagnostics);
    }),
    ("concurrent", |to, value, diagnostics| {
        to.quota.concurrent =
            integer_u32(value, 1..=Quota::MAX_LIMIT, QuotaError::Limit, diagnostics);
    }),
    ("permit_lease", |to, value, diagnostics| {
        let range = Quota::MIN_LEASE..=Quota::MAX_LEASE;
        let expected = format_args!("{}, such as \"10s\"", QuotaError::Lease);
        to.quota.permit_lease = duration(value, range, expected, diagnostics);
    }),
    ("key", |to, value, diagnostics| to.key = key(value, diagnostics)),
    ("missing_key", |to, value, diagnostics| to.missing = parse(value, diagnostics)),
    ("cost", |to, value, diagnostics| {
        to.cost = integer_u32(value, 1..=u32::MAX, EXPECTED_COST, diagnostics);
    }),
    ("count", |to, value, diagnostics| to.count = parse(value, diagnostics)),
    ("methods", |to, value, diagnostics| to.methods = parse(value, diagnostics)),
    ("headers", |to, value, diagnostics| {
        to.headers = boolean(value, EXPECTED_HEADERS, diagnostics);
    }),
    ("permissive", |to, value, diagnostics| {
        to.permissive = boolean(value, EXPECTED_PERMISSIVE, diagnostics);
    }),
    ("wait", |to, value, diagnostics| {
        to.wait = duration(value, Duration::ZERO..=Wait::MAX, Wait::EXPECTED, diagnostics);
    }),
    ("ban", |to, value, diagnostics| to.ban = parse(value, diagnostics)),
    ("shadow", |to, value, diagnostics| {
        to.shadow.shadow = boolean(value, ShadowFields::<usize>::EXPECTED_SHADOW, diagnostics);
    }),
    ("candidate", |to, value, diagnostics| to.shadow.candidate = parse(value, diagnostics)),
    ("rollout", |to, value, diagnostics| to.shadow.rollout = rollout(value, diagnostics)),
    ("on_error", |to, value, diagnostics| to.on_error = parse(value, diagnostics)),
];

fn rollout(value: &Value<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<Located<u8>> {
    type Fields = ShadowFields<usize>;
    let range = u32::from(*Fields::ROLLOUTS.start())..=u32::from(*Fields::ROLLOUTS.end());
    let Located { value, location } =
        integer_u32(value, range, Fields::EXPECTED_ROLLOUT, diagnostics)?;
    Some(Located { value: u8::try_from(value).ok()?, location })
}

/// Parses the size of a lease: a number of units, or a part of the limit such as `"5%"`.
fn lease(value: &Value<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<Located<LeaseSize>> {
    if value.get_ref().is_str() {
        return parse(value, diagnostics);
    }
    let range = QuotaLease::MIN_UNITS..=QuotaLease::MAX_UNITS;
    let units = integer_u32(value, range, LeaseSize::EXPECTED, diagnostics)?;
    Some(Located { value: LeaseSize::Units(units.value), location: units.location })
}

/// Parses a string in the notation of a built-in key.
pub(super) fn key(
    value: &Value<'_>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<Arc<dyn KeyRecipe>>> {
    let recipe = diagnostics.key_recipes;
    parse_with(value, &KeyNotation::expected(), diagnostics, |text| {
        let notation: KeyNotation = text.parse().map_err(|error| format!("{error}"))?;
        recipe(&notation)
    })
}

/// The parts of the error messages about quotas that differ between a policies file and the macro attribute.
const EXAMPLES: QuotaExamples = QuotaExamples {
    window: "`window = \"1m\"`",
    no_quotas: "expected `rate = \"5/minute\"`, or `limit = 5` and `window = \"1m\"`, or `concurrent = 5`, found none of them",
};

/// Parses a policy. Returns `None` if the policy has errors.
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
    // An invalid field has already been reported, so it must not be reported as missing, too.
    let is_complete = diagnostics.len() == count_before_fields;
    let fields = parsed.quota.quotas(EXAMPLES).and_then(|quotas| {
        let shadow = parsed.shadow.spec()?;
        let of_rates = [
            ("cost", parsed.cost.as_ref().map(|it| it.location)),
            ("count", parsed.count.as_ref().map(|it| it.location)),
            ("ban", parsed.ban.as_ref().map(|it| it.location)),
        ];
        let of_rates = of_rates.into_iter().filter_map(|(name, location)| Some((name, location?)));
        check_concurrency(Some(&quotas), of_rates, &parsed.shadow)?;
        check_lease(Some(&quotas), parsed.ban.as_ref().map(|it| it.location), &parsed.shadow)?;
        check_wait(Some(&quotas), parsed.wait.map(|it| it.location), &parsed.shadow)?;
        Ok((quotas, shadow))
    });
    let (quotas, shadow) = match fields {
        Ok(fields) => fields,
        Err(error) => {
            if is_complete {
                diagnostics.add(error.location.unwrap_or(offset), error.message);
            }
            return None;
        }
    };
    if let Some(cost) = &parsed.cost
        && let Err(message) = check_cost(cost.value, Some(&quotas), shadow.as_ref())
    {
        diagnostics.add(cost.location, message);
    }
    if diagnostics.len() > count {
        return None;
    }
    let mut policy = Policy::new(name.get_ref().clone().into_owned(), quotas).ok()?;
    policy = policy.with_ban(parsed.ban.map(|ban| ban.value)).with_shadow_spec(shadow);
    if let Some(on_error) = parsed.on_error {
        policy = policy.on_error(on_error.value);
    }
    let overrides = RouteOverrides {
        key: parsed.key.map(|it| it.value),
        missing: parsed.missing.map(|it| it.value),
        cost: parsed.cost.map(|it| it.value),
        count: parsed.count.map(|it| it.value),
        methods: parsed.methods.map(|it| it.value),
        headers: parsed.headers.map(|it| it.value),
        permissive: parsed.permissive.map(|it| it.value),
        wait: parsed.wait.map(|it| it.value),
    };
    Some(FilePolicy { policy, overrides, offset })
}
