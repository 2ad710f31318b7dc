//! Reads the policies of a replay: from a policies file, or from the arguments `--rate` and `--key`.

use std::path::PathBuf;

use actix_rateguard_core::{
    AccessList, Algorithm, Count, MissingKey, Policy, Quotas, adapter::NamedPolicy,
};
use actix_rateguard_grammar::{KeyNotation, Methods, escape_for_display, expected_one_of};

use super::{
    guard::LimitGuard,
    policy::{LimitPolicy, NotReplayed},
    route::RoutePattern,
    unsupported,
};
use crate::{exit::Failure, replay::fields::FieldMapping};

/// The name of the policy of `--rate`.
const NAME_OF_RATE: &str = "replay";

/// The arguments that define the policies.
pub(crate) struct LimitArguments<'a> {
    pub(crate) policies_file: Option<&'a PathBuf>,
    /// The policies to replay, each with the pattern of its route if the argument has one: `login=/login`. All policies
    /// of the file if the list is empty.
    pub(crate) selected: &'a [String],
    pub(crate) rate: Option<&'a Quotas>,
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) key: Option<&'a KeyNotation>,
    pub(crate) missing: Option<MissingKey>,
    pub(crate) cost: Option<u32>,
    pub(crate) count: Option<Count>,
    pub(crate) methods: Option<&'a Methods>,
    pub(crate) route: Option<&'a RoutePattern>,
    pub(crate) mappings: &'a [FieldMapping],
    pub(crate) max_keys: usize,
}

/// The policies of a replay, and the guard that decides.
pub(crate) struct Limits {
    pub(crate) guard: LimitGuard,
    pub(crate) policies: Vec<LimitPolicy>,
    pub(crate) not_replayed: Vec<NotReplayed>,
    pub(crate) access: AccessList,
    pub(crate) ipv6_bits: u8,
}

/// Reads the policies.
///
/// # Errors
///
/// A [`Failure`] with the reason why a file or an argument is invalid.
pub(crate) fn load(arguments: &LimitArguments<'_>) -> Result<Limits, Failure> {
    let guard = LimitGuard::new(arguments.policies_file.map(PathBuf::as_path), arguments.max_keys)?;
    let (all, access) = match arguments.policies_file {
        Some(_) => {
            let policies = of_file(arguments, &guard).map_err(Failure::usage)?;
            (policies, guard.guard.policy_set().access.clone())
        }
        None => (vec![of_rate(arguments).map_err(Failure::usage)?], AccessList::new()),
    };
    let (mut policies, mut not_replayed) = (Vec::new(), Vec::new());
    for limit in all {
        let route = limit.route.as_ref();
        let parts = limit.key.parts().iter();
        let mut reasons = parts.filter_map(|it| unsupported::reason(it, route, arguments.mappings));
        match reasons.next() {
            Some(reason) => {
                let policy = limit.policy.name().to_owned();
                not_replayed.push(NotReplayed { policy, reason });
            }
            None => policies.push(limit),
        }
    }
    let ipv6_bits =
        guard.guard.http_settings().client_address.as_ref().map_or(64, |it| it.ipv6_bits());
    Ok(Limits { guard, policies, not_replayed, access, ipv6_bits })
}

fn of_rate(arguments: &LimitArguments<'_>) -> Result<LimitPolicy, String> {
    let quotas =
        arguments.rate.ok_or("expected `--policies FILE` or `--rate RATE`, found neither")?;
    let quotas = match arguments.algorithm {
        Some(algorithm) => {
            let quotas = quotas.iter().map(|quota| quota.with_algorithm(algorithm));
            let quotas =
                quotas.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
            Quotas::new(quotas).map_err(|error| error.to_string())?
        }
        None => quotas.clone(),
    };
    let policy = Policy::new(NAME_OF_RATE, quotas).map_err(|error| error.to_string())?;
    let cost = arguments.cost.unwrap_or(1);
    if cost > policy.max_cost() {
        return Err(format!("expected a cost of at most {}, found {cost}", policy.max_cost()));
    }
    Ok(LimitPolicy {
        policy,
        key: arguments.key.cloned().unwrap_or_else(KeyNotation::ip),
        missing: arguments.missing.unwrap_or_default(),
        cost,
        count: arguments.count.unwrap_or_default(),
        methods: arguments.methods.cloned(),
        route: arguments.route.cloned(),
        is_candidate: false,
        notes: Vec::new(),
    })
}

fn of_file(arguments: &LimitArguments<'_>, guard: &LimitGuard) -> Result<Vec<LimitPolicy>, String> {
    let set = guard.guard.policy_set();
    let names = set.policy_names();
    if names.is_empty() {
        return Err("expected `[policies.NAME]` in the policies file, found none".to_owned());
    }
    let mut selected: Vec<(&str, Option<RoutePattern>)> = Vec::new();
    for argument in arguments.selected {
        let (name, route) = match argument.split_once("=/") {
            Some((name, route)) if !names.contains(&argument.as_str()) => {
                (name, Some(format!("/{route}").parse()?))
            }
            _ => (argument.as_str(), None),
        };
        // Two routes with one policy share their counts, so they cannot be replayed one after the other.
        if selected.iter().any(|(it, _)| *it == name) {
            return Err(format!("expected each policy once, found `{name}` twice"));
        }
        selected.push((name, route));
    }
    if selected.is_empty() {
        selected.extend(names.iter().map(|name| (*name, None)));
    }
    let mut policies = Vec::new();
    for (name, route) in selected {
        let unknown = || {
            format!(
                "unknown policy `{}`; {}",
                escape_for_display(name),
                expected_one_of("policy", name, &names)
            )
        };
        let named = set.peek_policy(name).ok_or_else(unknown)?;
        let route = route.or_else(|| arguments.route.cloned());
        policies.extend(of_named(named, route, arguments, &names)?);
    }
    Ok(policies)
}

/// Returns the policy, and a policy of its candidate quotas if it has such quotas.
fn of_named(
    named: &NamedPolicy,
    route: Option<RoutePattern>,
    arguments: &LimitArguments<'_>,
    names: &[&str],
) -> Result<Vec<LimitPolicy>, String> {
    let NamedPolicy { policy, overrides, .. } = named;
    let mut notes = Vec::new();
    let key = match &overrides.key {
        Some(key) => key.notation().parse().map_err(|error| format!("{error}"))?,
        None => {
            if arguments.key.is_none() {
                notes.push(
                    "the file sets no key, so the policy counts by `ip`; `--key` sets another"
                        .to_owned(),
                );
            }
            arguments.key.cloned().unwrap_or_else(KeyNotation::ip)
        }
    };
    if policy.is_in_shadow() {
        notes.push("the policy is in shadow mode; the replay enforces it".to_owned());
    }
    if overrides.permissive == Some(true) {
        notes.push("the policy is permissive, so a server reports these denials and lets the requests pass".to_owned());
    }
    if overrides.wait.is_some_and(|it| !it.is_zero()) {
        notes.push("the replay denies requests that a server lets wait (`wait`)".to_owned());
    }
    if policy.quotas().has_lease() {
        notes.push("leases change no limit, and the replay takes none".to_owned());
    }
    let limit = LimitPolicy {
        policy: policy.clone().with_shadow_spec(None),
        key,
        missing: overrides.missing.or(arguments.missing).unwrap_or_default(),
        cost: overrides.cost.unwrap_or(1),
        count: overrides.count.or(arguments.count).unwrap_or_default(),
        methods: overrides.methods.clone().or_else(|| arguments.methods.cloned()),
        route,
        is_candidate: false,
        notes,
    };
    let mut limits = vec![limit.clone()];
    if let Some((quotas, _)) = policy.candidate_quotas() {
        let mut name = format!("{}.candidate", policy.name());
        // Two policies with one name would share their counts.
        while names.contains(&name.as_str()) {
            name.push('\'');
        }
        let candidate = Policy::new(name, quotas.clone()).map_err(|error| error.to_string())?;
        let notes = vec![format!("the candidate quotas of `{}`", policy.name())];
        let candidate = candidate.with_ban(policy.own_ban());
        limits.push(LimitPolicy { policy: candidate, is_candidate: true, notes, ..limit });
    }
    Ok(limits)
}
