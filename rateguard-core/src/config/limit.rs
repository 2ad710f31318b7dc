//! `[policies.NAME]`: how much is admitted, of whom, and what else is said of the limits that take the policy.

use std::{sync::Arc, time::Duration};

use actix_rateguard_grammar::{
    Algorithm, Ban, Count, KeyNotation, Methods, MissingKey, OnError, Quota, QuotaError, Quotas,
    check_name,
};
use toml::{Spanned, de::DeString};

use super::{
    fields::{At, Reader, Value, read},
    mistakes::Diagnostics,
    shadow::{Shadow, rollout, shadow, tried},
    values::{made, parsed, table, time, whole_32},
};
use crate::{Policy, guard::RouteOverrides, key::KeyRecipe};

/// A policy that is written in a file.
pub(super) struct FilePolicy {
    pub(super) policy: Policy,
    pub(super) said: RouteOverrides,
    /// Where its name stands.
    pub(super) at: usize,
}

/// What has been read so far.
#[derive(Default)]
struct ParsedPolicy {
    rate: Option<At<Quotas>>,
    limit: Option<At<u32>>,
    window: Option<At<Duration>>,
    algorithm: Option<At<Algorithm>>,
    burst: Option<At<u32>>,
    key: Option<At<Arc<dyn KeyRecipe>>>,
    missing: Option<At<MissingKey>>,
    cost: Option<At<u32>>,
    count: Option<At<Count>>,
    methods: Option<At<Methods>>,
    ban: Option<At<Ban>>,
    shadow: Option<At<Shadow>>,
    rollout: Option<At<u32>>,
    on_error: Option<At<OnError>>,
}

const FIELDS: &[(&str, Reader<ParsedPolicy>)] = &[
    ("rate", |to, it, wrong| {
        to.rate = parsed(it, "a rate is text in quotes, such as \"5/minute\"", wrong);
    }),
    ("limit", |to, it, wrong| {
        to.limit = whole_32(it, 1..=Quota::MAX_LIMIT, QuotaError::Limit, wrong);
    }),
    ("window", |to, it, wrong| {
        let legal = Quota::MIN_WINDOW..=Quota::MAX_WINDOW;
        to.window = time(it, legal, QuotaError::Window, wrong);
    }),
    ("algorithm", |to, it, wrong| {
        let default_on_error = "an algorithm is text in quotes, such as \"token_bucket\"";
        to.algorithm = parsed(it, default_on_error, wrong);
    }),
    ("burst", |to, it, wrong| {
        to.burst = whole_32(it, 1..=Quota::MAX_LIMIT, QuotaError::Burst, wrong);
    }),
    ("key", |to, it, wrong| to.key = key(it, wrong)),
    ("missing", |to, it, wrong| {
        let default_on_error = "legal here are \"ip\", \"deny\" and \"skip\", in quotes";
        to.missing = parsed(it, default_on_error, wrong);
    }),
    ("cost", |to, it, wrong| {
        to.cost = whole_32(it, 1..=u32::MAX, "a cost is a whole number from 1 on", wrong);
    }),
    ("count", |to, it, wrong| {
        to.count = parsed(it, &format!("legal here are {}", Count::FORMS), wrong);
    }),
    ("methods", |to, it, wrong| {
        let default_on_error = "methods are text in quotes, such as \"POST, PUT\"";
        to.methods = parsed(it, default_on_error, wrong);
    }),
    ("ban", |to, it, wrong| {
        let default_on_error = "a ban is text in quotes, such as \"10/hour for 15m up to 1d\"";
        to.ban = parsed(it, default_on_error, wrong);
    }),
    ("shadow", |to, it, wrong| to.shadow = shadow(it, wrong)),
    ("rollout", |to, it, wrong| to.rollout = rollout(it, wrong)),
    ("on_error", |to, it, wrong| to.on_error = on_error(it, wrong)),
];

pub(super) fn on_error(value: &Value<'_>, mistakes: &mut Diagnostics<'_>) -> Option<At<OnError>> {
    let default_on_error = "legal here are \"open\", \"closed\" and \"local\", in quotes";
    parsed(value, default_on_error, mistakes)
}

/// A ready-made key, in the words of the attribute.
pub(super) fn key(
    value: &Value<'_>,
    mistakes: &mut Diagnostics<'_>,
) -> Option<At<Arc<dyn KeyRecipe>>> {
    let recipe = mistakes.key_recipes;
    let default_on_error = format!("a key is {}, in quotes", KeyNotation::FORMS);
    made(value, &default_on_error, mistakes, |text| {
        let notation: KeyNotation = text.parse().map_err(|error| format!("{error}"))?;
        recipe(&notation)
    })
}

/// The policy of this name, if there is nothing wrong with it.
pub(super) fn policy(
    name: &Spanned<DeString<'_>>,
    value: &Value<'_>,
    mistakes: &mut Diagnostics<'_>,
) -> Option<FilePolicy> {
    let at = name.span().start;
    let earlier = mistakes.len();
    if let Err(error) = check_name(name.get_ref()) {
        mistakes.add(at, error);
    }
    let default_on_error =
        "a policy is a table, such as `[policies.login]` with `rate = \"5/minute\"` below";
    let table = table(value, default_on_error, mistakes)?;
    let mut written = ParsedPolicy::default();
    let before_fields = mistakes.len();
    read(&mut written, FIELDS, table, mistakes);
    let quotas = match written.quotas() {
        Ok(quotas) => quotas,
        // What is there and could not be read is not missing.
        Err(_) if mistakes.len() > before_fields => return None,
        Err((place, message)) => {
            mistakes.add(place.unwrap_or(at), message);
            return None;
        }
    };
    let are_read = mistakes.len() == before_fields;
    let tried = tried(written.shadow, written.rollout, are_read, mistakes);
    let mut policy = Policy::new(name.get_ref().clone().into_owned(), quotas).ok()?;
    policy = policy.with_ban(written.ban.map(|ban| ban.value)).with_shadow_spec(tried);
    if let Some(cost) = &written.cost
        && cost.value > policy.max_cost()
    {
        let most = policy.max_cost();
        mistakes.add(
            cost.at,
            format!("no more than {most} are admitted at once, so nothing would ever pass"),
        );
    }
    if mistakes.len() > earlier {
        return None;
    }
    if let Some(on_error) = written.on_error {
        policy = policy.on_error(on_error.value);
    }
    let said = RouteOverrides {
        key: written.key.map(|it| it.value),
        missing: written.missing.map(|it| it.value),
        cost: written.cost.map(|it| it.value),
        count: written.count.map(|it| it.value),
        methods: written.methods.map(|it| it.value),
    };
    Some(FilePolicy { policy, said, at })
}

/// Where something is wrong, if it is not the whole policy, and what.
type Wrong = (Option<usize>, String);

impl ParsedPolicy {
    /// How much is admitted, of which there is one way to say it.
    fn quotas(&self) -> Result<Quotas, Wrong> {
        let wrong = |at: usize, message: &str| Err((Some(at), message.to_owned()));
        let quotas = match (&self.rate, &self.limit, &self.window) {
            (Some(rate), None, None) => rate.value.clone(),
            (None, Some(limit), Some(window)) => Quota::new(limit.value, window.value)
                .map(Quotas::from)
                .map_err(|error| (Some(limit.at), error.to_string()))?,
            (Some(_), Some(At { at, .. }), _) | (Some(_), None, Some(At { at, .. })) => {
                return wrong(
                    *at,
                    "`rate` already says limit and window; write either `rate` or `limit` and `window`",
                );
            }
            (None, Some(limit), None) => {
                return wrong(limit.at, "`limit` needs a `window`, such as `window = \"1m\"`");
            }
            (None, None, Some(window)) => {
                return wrong(window.at, "`window` needs a `limit`, such as `limit = 5`");
            }
            (None, None, None) => {
                let message = "this policy says not how much it admits; write `rate = \"5/minute\"`, or `limit = 5` and `window = \"1m\"`";
                return Err((None, message.to_owned()));
            }
        };
        self.counted(quotas)
    }

    /// The quotas with the algorithm and the burst that are written beside them.
    fn counted(&self, quotas: Quotas) -> Result<Quotas, Wrong> {
        let mut quotas: Vec<Quota> = quotas.iter().copied().collect();
        if let Some(At { value, at }) = self.algorithm {
            for quota in &mut quotas {
                match quota.algorithm() {
                    // Not written, as this is what stands for nothing.
                    Algorithm::SlidingWindow => {
                        let counted = quota.with_algorithm(value);
                        *quota = counted.map_err(|error| (Some(at), error.to_string()))?;
                    }
                    written if written == value => {}
                    written => {
                        let message =
                            format!("`rate` already says {written}; write the algorithm once");
                        return Err((Some(at), message));
                    }
                }
            }
        }
        if let Some(At { value, at }) = self.burst {
            let [quota] = &mut quotas[..] else {
                let message = "`burst` is of one quota; in a list, write it behind its quota: \"5/second token_bucket burst 20; 100/minute\"";
                return Err((Some(at), message.to_owned()));
            };
            let held = quota.with_burst(value);
            *quota = held.map_err(|error| (Some(at), error.to_string()))?;
        }
        Quotas::new(quotas).map_err(|error| (None, error.to_string()))
    }
}
